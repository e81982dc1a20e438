/*---
title = "Data freshness"
description = "What the lake holds of each kind of fact: rows and the last business day. How far each source is complete stands in the provenance of every answer."
section = "Operations"
grain = "snapshot"
key = ["dataset"]
[publish]
[columns]
dataset = { type = "string", title = "Dataset" }
facts = { type = "int64", title = "Rows" }
first_day = { type = "date", title = "First day" }
last_day = { type = "date", title = "Last day" }
last_day_facts = { type = "int64", title = "Rows of the last day" }
---*/
WITH days AS (
    SELECT 'sale_lines' AS dataset, business_day, COUNT(*) AS facts FROM sale_lines GROUP BY business_day
    UNION ALL
    SELECT 'order_lines' AS dataset, business_day, COUNT(*) AS facts FROM order_lines GROUP BY business_day
    UNION ALL
    SELECT 'orders' AS dataset, business_day, COUNT(*) AS facts FROM orders GROUP BY business_day
    UNION ALL
    SELECT 'stock_movements' AS dataset, business_day, COUNT(*) AS facts FROM stock_movements GROUP BY business_day
),
totals AS (
    SELECT dataset AS total_of, SUM(facts) AS facts, MIN(business_day) AS first_day, MAX(business_day) AS last_day FROM days GROUP BY dataset
)
SELECT t.total_of AS dataset, t.facts AS facts, t.first_day AS first_day, t.last_day AS last_day, d.facts AS last_day_facts
FROM totals AS t
JOIN days AS d ON d.dataset = t.total_of AND d.business_day = t.last_day
ORDER BY dataset
