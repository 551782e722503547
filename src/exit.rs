//! Exit codes. The README has the same table.

use crate::error::Kind;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Something failed. What was committed stays; the report says what.
    Failed,
    /// Configuration or usage is wrong; nothing was requested.
    Config,
    /// Another run of this pipeline holds the lock.
    Locked,
    /// Ended by SIGINT; committed work is kept.
    Interrupted,
    /// Ended by SIGTERM; committed work is kept.
    Terminated,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> i32 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Config => 2,
            Exit::Locked => 4,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Config => Exit::Config,
            Kind::Locked => Exit::Locked,
            Kind::Interrupted => Exit::Interrupted,
            Kind::Network | Kind::Status | Kind::Auth | Kind::Body | Kind::Paging | Kind::Data => Exit::Failed,
            Kind::Destination | Kind::State | Kind::Internal => Exit::Failed,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit.code() as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_readme() {
        let codes = [Exit::Done, Exit::Failed, Exit::Config, Exit::Locked, Exit::Interrupted, Exit::Terminated];
        assert_eq!(codes.map(Exit::code), [0, 1, 2, 4, 130, 143]);
    }
}
