//! A dataset of a service's change feed as SQL that writes each row as one text, from the service's own tables: what
//! a copy of it must hold.

use kit::feed::{Column, Dataset, Type};

/// A column as a text that means one thing, whoever writes it; NULL stays NULL.
fn value(column: &Column) -> String {
    match column.ty {
        Type::Bool => format!("({})::text", column.sql),
        Type::Timestamp => format!(r#"to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#, column.sql),
        _ => column.sql.to_owned(),
    }
}

/// All of a dataset at once, as the feed's pages write it.
pub fn copy(dataset: &Dataset) -> String {
    let written = |column: &Column| match column.ty {
        Type::Timestamp => format!("({} AT TIME ZONE 'UTC')::text || 'Z'", column.sql),
        _ => value(column),
    };
    let list: Vec<String> = dataset.columns.iter().map(written).collect();
    let key = dataset.columns.iter().filter(|it| dataset.key.contains(&it.name)).map(|it| it.sql);
    let order: Vec<&str> = std::iter::once(dataset.xid).chain(key).collect();
    format!(
        r"COPY (SELECT {}, {} FROM {} ORDER BY {}) TO STDOUT WITH (FORMAT csv, HEADER true, NULL '\N')",
        list.join(", "),
        dataset.deleted,
        dataset.from,
        order.join(", ")
    )
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
    format!("SELECT concat_ws(',', {}) FROM {} WHERE NOT ({})", list.join(", "), dataset.from, dataset.deleted)
}
