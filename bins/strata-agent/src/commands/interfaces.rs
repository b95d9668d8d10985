//! `interface.command`: what holds for an interface, now and after a restart.

use serde_json::Value;
use strata_agent_protocol::interfaces::{Preference, Rules};
use strata_client::role::agent::Context;
use strata_proto::control::{ErrorCode, Fault, InterfaceAction, InterfaceCommand};

use super::Device;

impl Device {
    /// Carries the command out: on disk, on the running stream, in what is reported.
    pub(super) async fn command_interface(
        &self,
        ctx: &Context,
        command: InterfaceCommand,
    ) -> Result<(), Fault> {
        let name = command.interface;
        if !self.knows(&name) {
            let message = format!("this device has no interface {name:.32}");
            return Err(Fault::new(ErrorCode::NOT_FOUND, message).with_field("payload.interface"));
        }
        let rules = {
            let mut kept = self.kept();
            let mut next = kept.settings.clone();
            match command.action {
                InterfaceAction::Enable => drop(next.disabled_interfaces.remove(&name)),
                InterfaceAction::Disable => drop(next.disabled_interfaces.insert(name)),
                InterfaceAction::Priority => match preference(command.value.as_ref())? {
                    Some(preference) => drop(next.preferred_interfaces.insert(name, preference)),
                    None => drop(next.preferred_interfaces.remove(&name)),
                },
                other => {
                    let message =
                        format!("{} {other:?} needs a modem manager, which is not here", ctx.kind());
                    return Err(Fault::new(ErrorCode::UNSUPPORTED, message).with_field("payload.action"));
                }
            }
            kept.keep(next, &self.config)?;
            kept.settings.rules()
        };
        self.streams.set_rules(rules.clone()).await;
        self.hardware.set_disabled(rules.disabled).await;
        Ok(())
    }

    /// Whether an interface is there, or was and is still spoken of: one that is unplugged can be commanded too.
    fn knows(&self, name: &str) -> bool {
        let Rules { disabled, preferences } = self.rules();
        disabled.contains(name)
            || preferences.contains_key(name)
            || self.streams.activity().interfaces.contains(name)
            || self.hardware.seen().interfaces.iter().any(|interface| interface.name == name)
    }
}

/// What `priority` asks for; `None` is what links say themselves.
fn preference(value: Option<&Value>) -> Result<Option<Preference>, Fault> {
    let expected = format!("expected \"normal\", \"backup\", a weight of 0 to {MAX_WEIGHT}, or null");
    match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text == "normal" => return Ok(Some(Preference::Normal)),
        Some(Value::String(text)) if text == "backup" => return Ok(Some(Preference::Backup)),
        Some(value) => {
            let weight = value.as_u64().and_then(|weight| u32::try_from(weight).ok());
            let weight = weight.filter(|weight| *weight <= MAX_WEIGHT).map(Preference::Weight);
            weight.map(Some)
        }
    }
    .ok_or_else(|| Fault::new(ErrorCode::INVALID_FIELD, expected).with_field("payload.value"))
}

/// As `bonding_config.links[].weight` has it.
const MAX_WEIGHT: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_priority_is_a_word_or_a_weight() {
        assert_eq!(preference(None), Ok(None));
        assert_eq!(preference(Some(&Value::Null)), Ok(None));
        assert_eq!(preference(Some(&json!("normal"))), Ok(Some(Preference::Normal)));
        assert_eq!(preference(Some(&json!("backup"))), Ok(Some(Preference::Backup)));
        assert_eq!(preference(Some(&json!(0))), Ok(Some(Preference::Weight(0))));
        assert_eq!(preference(Some(&json!(1_000_000))), Ok(Some(Preference::Weight(1_000_000))));
        for bad in [json!(1_000_001), json!(-1), json!(1.5), json!("first"), json!(true)] {
            let fault = preference(Some(&bad)).unwrap_err();
            assert_eq!(fault.field.as_deref(), Some("payload.value"), "{bad}");
        }
    }
}
