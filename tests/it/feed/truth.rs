//! What the toy's tables really hold, to hold copies against.

use std::collections::BTreeMap;

use sqlx::PgPool;

use super::reader::{Copy, Reader};

/// Every live row of both datasets, in the form of the reader's copies.
pub(crate) async fn tables(pool: &PgPool) -> BTreeMap<String, Copy> {
    let lines: Vec<(Vec<Option<String>>,)> = sqlx::query_as(
        r#"SELECT ARRAY[d.id::text, l.code, d.status, d.version::text,
                        (d.occurred_at AT TIME ZONE 'UTC')::text || 'Z',
                        to_char((d.occurred_at AT TIME ZONE d.time_zone)::date, 'YYYY-MM-DD'),
                        l.cents::text, l.note, (d.status = 'voided')::text]
             FROM docs d JOIN doc_lines l ON l.doc_id = d.id WHERE NOT d.deleted"#,
    )
    .fetch_all(pool)
    .await
    .expect("the lines");
    let items: Vec<(Vec<Option<String>>,)> =
        sqlx::query_as("SELECT ARRAY[sku, version::text] FROM items").fetch_all(pool).await.expect("the items");
    let by_key = |rows: Vec<(Vec<Option<String>>,)>, keys: usize| -> Copy {
        rows.into_iter().map(|(row,)| (row.iter().take(keys).flatten().cloned().collect(), row)).collect()
    };
    BTreeMap::from([("doc_lines".to_owned(), by_key(lines, 2)), ("items".to_owned(), by_key(items, 1))])
}

/// Holds the reader's copy against the tables, row for row.
pub(crate) async fn compare(reader: &Reader, pool: &PgPool) {
    for (dataset, truth) in tables(pool).await {
        let none = Copy::new();
        let copy = reader.copies.get(&dataset).unwrap_or(&none);
        let lost: Vec<_> = truth.iter().filter(|(key, row)| copy.get(*key) != Some(row)).take(5).collect();
        let phantoms: Vec<_> = copy.keys().filter(|key| !truth.contains_key(*key)).take(5).collect();
        assert!(lost.is_empty(), "{dataset}: rows that the copy lacks or has otherwise: {lost:?}");
        assert!(phantoms.is_empty(), "{dataset}: rows that only the copy has: {phantoms:?}");
    }
}
