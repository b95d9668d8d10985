//! Who may see what.

use strata_proto::id::UserId;

/// Whose senders and streams somebody may see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everybody's: administrators.
    All,
    /// Those of one account.
    Account(UserId),
}

impl Scope {
    /// Whether what belongs to `owner` may be seen.
    #[must_use]
    pub fn sees(&self, owner: &UserId) -> bool {
        match self {
            Self::All => true,
            Self::Account(account) => account == owner,
        }
    }
}
