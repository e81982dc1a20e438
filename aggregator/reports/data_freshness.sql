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
    SELECT 'sale_lines' AS dataset, COUNT(*) AS facts, MIN(business_day) AS first_day, MAX(business_day) AS last_day FROM sale_lines
    UNION ALL
    SELECT 'order_lines' AS dataset, COUNT(*) AS facts, MIN(business_day) AS first_day, MAX(business_day) AS last_day FROM order_lines
    UNION ALL
    SELECT 'orders' AS dataset, COUNT(*) AS facts, MIN(business_day) AS first_day, MAX(business_day) AS last_day FROM orders
    UNION ALL
    SELECT 'stock_movements' AS dataset, COUNT(*) AS facts, MIN(business_day) AS first_day, MAX(business_day) AS last_day FROM stock_movements
),
last_days AS (
    SELECT 'sale_lines' AS last_of, COUNT(*) AS facts
    FROM sale_lines AS f
    JOIN (SELECT MAX(business_day) AS last_day FROM sale_lines) AS m ON m.last_day = f.business_day
    UNION ALL
    SELECT 'order_lines' AS last_of, COUNT(*) AS facts
    FROM order_lines AS f
    JOIN (SELECT MAX(business_day) AS last_day FROM order_lines) AS m ON m.last_day = f.business_day
    UNION ALL
    SELECT 'orders' AS last_of, COUNT(*) AS facts
    FROM orders AS f
    JOIN (SELECT MAX(business_day) AS last_day FROM orders) AS m ON m.last_day = f.business_day
    UNION ALL
    SELECT 'stock_movements' AS last_of, COUNT(*) AS facts
    FROM stock_movements AS f
    JOIN (SELECT MAX(business_day) AS last_day FROM stock_movements) AS m ON m.last_day = f.business_day
)
SELECT t.dataset AS dataset, t.facts AS facts, t.first_day AS first_day, t.last_day AS last_day, l.facts AS last_day_facts
FROM totals AS t
JOIN last_days AS l ON l.last_of = t.dataset
WHERE t.facts > 0
ORDER BY dataset
