//! What a kind of import says of itself: its rows, and how its documents are applied.

use std::collections::HashSet;
use std::future::Future;

use sqlx::PgTransaction;

use super::column::Columns;
use super::report::{Fault, Outcome, Refusal};
use crate::error::ApiError;
use crate::id::ProductId;
use crate::text::Zone;

/// What the rows of a service are checked by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Decimals of the company's currency.
    pub decimals: u8,
}

/// What a file does with a document that is stored otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDifference {
    /// It is refused, by line, field, old and new value.
    #[default]
    Refuse,
    /// It takes the place of an imported one.
    Replace,
}

/// A row: its columns, what they are checked by, and what holds rows together.
pub trait Record: Columns + Send + Sync + 'static {
    /// The columns that say which document a row belongs to, wherever it stands in the file.
    const KEY: &'static [&'static str];
    /// Columns of which a file needs one.
    const ONE_OF: &'static [&'static [&'static str]] = &[];
    /// Whether each row stands for itself: then one that is bad refuses no other of its key, and a body that breaks off
    /// applies what was whole before.
    const ALONE: bool = false;

    /// In which pass over the file the document is applied, from 0: what depends on others of the file comes after them.
    fn pass(&self) -> i16 {
        0
    }

    /// The zone of the row's own, which PostgreSQL must know.
    fn zone(&self) -> Option<&Zone> {
        None
    }

    /// The product that the row names, for Inventory to be asked about.
    fn product(&self) -> Option<(Option<ProductId>, &str)> {
        None
    }

    /// Checks what the types alone cannot.
    ///
    /// # Errors
    /// The field at fault and why.
    fn check(&self, _: Rules) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A good row and where it stood.
#[derive(Debug, Clone)]
pub struct Row<T> {
    /// Its line in the body, from 1; of a quoted field with newlines, the first.
    pub line: u64,
    pub value: T,
}

impl<T> Row<T> {
    /// A fault of this row.
    #[must_use]
    pub fn fault(&self, field: &'static str, reason: impl Into<String>) -> Fault {
        Fault { line: Some(self.line), field, reason: reason.into() }
    }
}

/// The rows of one key, in the order of their lines; there is at least one.
#[derive(Debug, Clone)]
pub struct Document<T> {
    pub rows: Vec<Row<T>>,
}

impl<T> Document<T> {
    /// The first row.
    pub fn head(&self) -> &T {
        &self.rows[0].value
    }

    /// Whether all rows tell the same story: `compare` says of a row and the first which fields of the document differ,
    /// and which line the row is, whose number stands once. `what` names the document's kind.
    ///
    /// # Errors
    /// The first row and field that does not fit.
    pub fn consistent<const N: usize>(
        &self,
        what: &str,
        compare: impl Fn(&T, &T) -> ([(&'static str, bool); N], i32),
    ) -> Result<(), Fault> {
        let mut lines = HashSet::new();
        for row in &self.rows {
            let (differs, line) = compare(&row.value, self.head());
            if let Some((field, _)) = differs.into_iter().find(|(_, differs)| *differs) {
                return Err(row.fault(field, format!("differs between the lines of one {what}")));
            }
            if !lines.insert(line) {
                return Err(row.fault("line_no", format!("line {line} stands twice in one {what}")));
            }
        }
        Ok(())
    }

    /// Where the document begins.
    pub fn line(&self) -> u64 {
        self.rows[0].line
    }

    /// The last row: of a key that comes twice where rows stand for themselves, the last holds.
    pub fn last(&self) -> &Row<T> {
        &self.rows[self.rows.len() - 1]
    }
}

/// A kind of import, made for one import and gone with it.
pub trait Kind: Send + Sync + 'static {
    type Row: Record;
    /// What is imported, in the plural: `sales`.
    const NAME: &'static str;
    /// Passes over the file.
    const PASSES: i16 = 1;
    /// Whether what it wrote can be withdrawn. Where it can, an import that ended in between is finished by the same file only.
    const WITHDRAWABLE: bool = false;

    /// Learns what other services say of products, before anything is applied and outside of any transaction.
    ///
    /// # Errors
    /// 503 where one that must answer does not; nothing of the file is applied then.
    fn meet(
        &mut self,
        _products: Vec<(Option<ProductId>, String)>,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Judges and applies some documents, each whole or not at all, in a transaction of less than two seconds. Documents
    /// come in the order of their keys, so that two writers lock in one order: others of the file are applied meanwhile.
    ///
    /// # Errors
    /// The database's; then nothing of these documents is applied.
    fn apply(
        &self,
        tx: &mut PgTransaction<'_>,
        import: Applying,
        documents: &[Document<Self::Row>],
        outcome: &mut Outcome,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
}

/// The import that applies.
#[derive(Debug, Clone, Copy)]
pub struct Applying {
    /// Its number.
    pub id: i64,
    pub on_difference: OnDifference,
    pub rules: Rules,
}

impl Applying {
    /// Whether a document of the file takes the place of the stored one, which differs as told or not at all. Where it does
    /// not, what came of it is told: it is unchanged or refused.
    pub fn replaces<T>(
        self,
        document: &Document<T>,
        imported: bool,
        difference: Option<Fault>,
        outcome: &mut Outcome,
    ) -> bool {
        match difference {
            None => outcome.unchanged(document),
            Some(_) if imported && self.on_difference == OnDifference::Replace => return true,
            Some(mut fault) => {
                let way = if imported { "on_difference=replace corrects it" } else { "it was not imported" };
                fault.reason = format!("{}; {way}", fault.reason);
                outcome.refuse(document, fault);
            }
        }
        false
    }
}
