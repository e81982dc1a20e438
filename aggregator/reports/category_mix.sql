/*---
title = "Category mix"
description = "What each category sold and earned, with its share, against the period before and the same weekdays a year ago. A row for each category with a line in any of the three. Order: net revenue, most first; ties by category."
section = "Sales"
grain = "day"
inherits = "sales"
key = ["category"]
[publish]
[columns]
category = { type = "string", title = "Category" }
[chart]
kind = "pie"
x = "category"
y = "net_revenue"
---*/
WITH cells AS (
    SELECT category, pieces, net_cents, margin_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM category_days
    WHERE business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to
),
by_category AS (
    SELECT category, SUM(CASE WHEN is_now THEN pieces ELSE 0 END) AS pieces,
           SUM(CASE WHEN is_now THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN is_now THEN margin_cents ELSE 0 END) AS margin,
           SUM(CASE WHEN is_before THEN net_cents ELSE 0 END) AS previous_revenue,
           SUM(CASE WHEN is_year_ago THEN net_cents ELSE 0 END) AS year_ago_revenue
    FROM cells
    GROUP BY category
),
total AS (
    SELECT SUM(net_revenue) AS total_revenue FROM by_category
)
SELECT b.category AS category, b.pieces AS pieces, b.net_revenue AS net_revenue,
       CASE WHEN t.total_revenue <> 0 THEN b.net_revenue * 100.0 / t.total_revenue END AS share, b.margin AS margin,
       CASE WHEN b.net_revenue <> 0 THEN b.margin * 100.0 / b.net_revenue END AS margin_rate,
       b.previous_revenue AS previous_revenue,
       CASE WHEN b.previous_revenue > 0 THEN (b.net_revenue - b.previous_revenue) * 100.0 / b.previous_revenue END AS change,
       b.year_ago_revenue AS year_ago_revenue,
       CASE WHEN b.year_ago_revenue > 0 THEN (b.net_revenue - b.year_ago_revenue) * 100.0 / b.year_ago_revenue END AS year_change
FROM by_category AS b
CROSS JOIN total AS t
ORDER BY net_revenue DESC, category
