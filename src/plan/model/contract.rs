//! What becomes of data that the tables, as they are, have no room for.

/// What becomes of something that would change a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContractMode {
    /// The table changes.
    #[default]
    Evolve,
    /// The run of the resource fails.
    Freeze,
    /// The row is left out, with what is nested in it.
    DiscardRow,
    /// The value is left out of its row.
    DiscardValue,
}

impl ContractMode {
    /// Its name, as the file has it.
    pub fn name(self) -> &'static str {
        match self {
            ContractMode::Evolve => "evolve",
            ContractMode::Freeze => "freeze",
            ContractMode::DiscardRow => "discard_row",
            ContractMode::DiscardValue => "discard_value",
        }
    }

    /// The mode of a name.
    pub fn named(name: &str) -> Option<ContractMode> {
        use ContractMode::{DiscardRow, DiscardValue, Evolve, Freeze};
        [Evolve, Freeze, DiscardRow, DiscardValue].into_iter().find(|mode| mode.name() == name)
    }
}

/// What becomes of data that would change the tables as a run finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchemaContract {
    /// Of a list that would become a child table.
    pub tables: ContractMode,
    /// Of a field that would become a column of a table that is there.
    pub columns: ContractMode,
    /// Of a value that would widen a column, or is not of its declared type.
    pub data_type: ContractMode,
}

impl SchemaContract {
    /// The same for all.
    pub fn all(mode: ContractMode) -> Self {
        SchemaContract { tables: mode, columns: mode, data_type: mode }
    }

    /// Whether tables follow the data, whatever comes.
    pub fn evolves(self) -> bool {
        self == SchemaContract::default()
    }
}
