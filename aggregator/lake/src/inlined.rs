//! Rows that DuckDB put into the catalogue itself, where no file tells of them: refused, for to read on without them would
//! be wrong in silence.

use crate::{Lake, LakeError};

impl Lake {
    /// Fails where rows, or deletions, of one of these datasets stand in the catalogue instead of in files.
    ///
    /// # Errors
    /// [`LakeError::Inlined`]; when the database fails.
    pub async fn refuse_inlined<'a>(&self, datasets: impl IntoIterator<Item = &'a str>) -> Result<(), LakeError> {
        let datasets: Vec<&str> = datasets.into_iter().collect();
        let sql = "SELECT dataset, held_by FROM sync.inlined() WHERE dataset = ANY($1) LIMIT 1";
        let found: Option<(String, String)> = sqlx::query_as(sql).bind(datasets).fetch_optional(&self.db).await?;
        found.map_or(Ok(()), |(dataset, held_by)| Err(LakeError::Inlined { dataset, held_by }))
    }
}
