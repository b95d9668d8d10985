use super::*;

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Settings::parse("control.toml", text, environment).map_err(|e| format!("{e:#}"))
}

#[test]
fn errors_name_the_key() {
    for (text, expected) in [
        ("lisen = \"127.0.0.1:1\"", "lisen"),
        ("listen = \"nowhere\"", "configuration key listen"),
        ("[tls]\ncertificate = \"x\"", "certificate"),
        ("[tls]\ncert = \"x\"", "configuration key tls.key: is missing"),
        ("[tls]\nkey = \"x\"", "configuration key tls.cert: is missing"),
        ("[log]\nfilter = \"info,strata=loud\"", "configuration key log.filter: error parsing level filter"),
        ("[log]\nformat = \"xml\"", "configuration key log.format"),
        ("[streams]\nport = \"1-2\"", "port"),
        ("[streams]\nports = \"16000-15000\"", "configuration key streams.ports: bad port range"),
        ("[streams]\nports = \"15000\"", "configuration key streams.ports: bad port range"),
        ("[streams]\nhosts = [\"a\", \"b:1\"]", "configuration key streams.hosts[1]"),
    ] {
        let error = parse(text, &[]).unwrap_err();
        assert!(error.starts_with("control.toml: ") && error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "listen = \"127.0.0.1:1\"\n[streams]\nrecord = true\nlatency_ms = 500\n";
    let environment = [
        ("STRATA_CONTROL_LISTEN", "127.0.0.1:2"),
        ("STRATA_CONTROL_STREAMS__RECORD", "false"),
        ("STRATA_CONTROL_STREAMS__PORTS", "20000-20010"),
        ("STRATA_CONTROL_STREAMS__HOSTS", "[\"a.example.com\"]"),
        ("STRATA_CONTROL_LOG__FILTER", "debug"),
        ("STRATA_CONTROL_CONFIG", "elsewhere.toml"),
        ("HOME", "/root"),
    ];
    let settings = parse(file, &environment).unwrap();
    assert_eq!(settings.own.listen, "127.0.0.1:2".parse().unwrap());
    assert_eq!(settings.own.log.filter, "debug");
    let streams = settings.server.streams;
    assert_eq!((streams.record, streams.latency_ms, streams.ports), (false, 500, 20_000..=20_010));
    assert_eq!(streams.hosts, ["a.example.com"]);
}

#[test]
fn an_unknown_key_is_answered_with_all_that_are_known() {
    let error = parse("lisen = \"127.0.0.1:1\"", &[]).unwrap_err();
    for key in ["listen", "tls", "log", "data_dir", "public_url", "session", "fleet", "http", "streams"] {
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn a_variable_is_blamed_for_what_it_set_and_the_file_for_the_rest() {
    for (name, value, key) in [
        ("STRATA_CONTROL_LISEN", "127.0.0.1:1", "lisen: unknown key"),
        ("STRATA_CONTROL_STREAMS__RECRD", "true", "streams.recrd: unknown field"),
        ("STRATA_CONTROL_STREAMS__HOSTS", "[\"a\", \"b:1\"]", "streams.hosts[1]"),
        ("STRATA_CONTROL_LOG__FILTER", "strata=loud", "log.filter"),
        ("STRATA_CONTROL_LOG__FILTRE", "info", "log.filtre: unknown field"),
        ("STRATA_CONTROL_LISTEN__PORT", "1", "listen is not a section"),
    ] {
        let error = parse("listen = \"127.0.0.1:1\"", &[(name, value)]).unwrap_err();
        let blamed = error.starts_with(&format!("environment variable {name}: "));
        assert!(blamed && error.contains(key), "{name}: {error}");
    }
    let variables = [("STRATA_CONTROL_STREAMS__RECORD", "false"), ("STRATA_CONTROL_LOG__FILTER", "info")];
    let error = parse("[streams]\nrecord_to = \"x\"", &variables).unwrap_err();
    assert!(error.starts_with("control.toml: "), "{error}");
}

#[test]
fn variables_of_a_kubernetes_service_are_none_of_ours() {
    let service = [
        ("STRATA_CONTROL_SERVICE_HOST", "10.0.0.1"),
        ("STRATA_CONTROL_SERVICE_PORT", "8443"),
        ("STRATA_CONTROL_SERVICE_PORT_HTTPS", "8443"),
        ("STRATA_CONTROL_PORT", "tcp://10.0.0.1:8443"),
        ("STRATA_CONTROL_PORT_8443_TCP", "tcp://10.0.0.1:8443"),
        ("STRATA_CONTROL_PORT_8443_TCP_ADDR", "10.0.0.1"),
        ("STRATA_CONTROL_MEDIA_SERVICE_HOST", "10.0.0.2"),
        ("STRATA_CONTROL_MEDIA_PORT", "udp://10.0.0.2:15000"),
    ];
    parse("", &service).unwrap();
    let error = parse("", &[("STRATA_CONTROL_STREAMS__PORT", "1-2")]).unwrap_err();
    assert!(error.contains("streams.port: unknown field"), "{error}");
}

#[test]
fn devices_are_led_astray_by_a_local_name_only_when_others_may_connect() {
    for (listen, public, astray) in [
        ("0.0.0.0:8443", "https://localhost:8443", true),
        ("[::]:8443", "https://[::1]:8443", true),
        ("192.0.2.1:8443", "https://127.0.0.1:8443", true),
        ("127.0.0.1:8443", "https://localhost:8443", false),
        ("0.0.0.0:8443", "https://control.example.com", false),
        ("0.0.0.0:8443", "https://192.0.2.1:8443", false),
    ] {
        let settings = parse(&format!("listen = \"{listen}\"\npublic_url = \"{public}\""), &[]).unwrap();
        assert_eq!(settings.leads_astray(), astray, "{listen} {public}");
    }
    assert!(parse("", &[]).unwrap().leads_astray(), "the defaults");
}

#[test]
fn the_readme_lists_every_key() {
    let readme = include_str!("../../README.md");
    for section in ["tls", "log", "streams", "session", "fleet", "http"] {
        let error = parse(&format!("[{section}]\nnonsense = 1"), &[]).unwrap_err();
        let (_, known) = error.split_once("expected ").unwrap();
        let keys: Vec<_> = known.split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{error}");
        for key in keys {
            assert!(readme.contains(&format!("`{key}`")), "{section}.{key}");
        }
    }
}
