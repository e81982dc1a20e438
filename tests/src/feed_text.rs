//! A dataset of a service's change feed as SQL that writes each row as one text, from the service's own tables: what
//! a copy of it must hold.

use kit::feed::{Column, Dataset, Type};

/// A column as a text that means one thing, whoever writes it; NULL stays NULL.
fn value(column: &Column) -> String {
    match column.ty {
        Type::Bool => format!("({})::text", column.sql),
        Type::Timestamp => format!(r#"to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#, column.sql),
        Type::Local => format!(r#"to_char({}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#, column.sql),
        _ => column.sql.to_owned(),
    }
}

/// The rows that are not deleted, each as its values in the order of `columns`, parted by commas, NULL as `\N`.
///
/// # Panics
/// When the dataset has no column of a name.
pub fn rows(dataset: &Dataset, columns: &[&str]) -> String {
    let text = |name: &&str| {
        let column = dataset.columns.iter().find(|it| it.name == *name).expect("a column of the feed");
        format!(r"coalesce(({})::text, '\N')", value(column))
    };
    let list: Vec<String> = columns.iter().map(text).collect();
    let lines = dataset.lines.map_or(String::new(), |lines| format!(" JOIN {} ON {}", lines.from, lines.of));
    let (from, deleted) = (dataset.from, dataset.deleted);
    format!("SELECT concat_ws(',', {}) FROM {from}{lines} WHERE NOT ({deleted})", list.join(", "))
}
