/*---
title = "Data freshness"
description = "What the lake holds of each kind of fact: rows and the last business day. How far each source is complete stands in the provenance of every answer. A row for each dataset with business days that has rows. Order: dataset."
section = "Operations"
engine = "in-memory"
grain = "snapshot"
key = ["dataset"]
[publish]
[columns]
dataset = { type = "string", title = "Dataset", note = "Its name in the lake." }
facts = { type = "int64", title = "Rows", note = "Rows now." }
first_day = { type = "date", title = "First day", note = "Earliest business day of a row." }
last_day = { type = "date", title = "Last day", note = "Latest business day of a row." }
last_day_facts = { type = "int64", title = "Rows of the last day", note = "Rows of the latest business day." }
---*/
WITH totals AS (
    SELECT dataset, SUM(facts) AS facts, MIN(business_day) AS first_day, MAX(business_day) AS last_day FROM fact_days GROUP BY dataset
)
SELECT t.dataset AS dataset, t.facts AS facts, t.first_day AS first_day, t.last_day AS last_day, d.facts AS last_day_facts
FROM totals AS t
JOIN fact_days AS d ON d.dataset = t.dataset AND d.business_day = t.last_day
ORDER BY dataset
