/*---
title = "Global summary"
description = "The company in one line: tickets, net revenue, margin and average ticket of the period, against the period before and the same weekdays a year ago. One row, also where nothing was sold."
section = "Sales"
engine = "in-memory"
grain = "day"
inherits = "sales"
key = []
[publish]
[columns]
returned = { type = "money", title = "Returned", note = "Net value of returns and refunds, as a positive amount." }
store_revenue = { type = "money", title = "Net revenue in store", note = "Net revenue of the channel store." }
online_revenue = { type = "money", title = "Net revenue online", note = "Net revenue of all other channels." }
[chart]
kind = "number"
x = "net_revenue"
y = "net_revenue"
---*/
WITH cells AS (
    SELECT channel, tickets, pieces, discount_cents, net_cents, sold_cents, margin_cents,
           business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before,
           business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM store_days
    WHERE (business_day BETWEEN $before_from AND $to) OR (business_day BETWEEN $year_from AND $year_to)
),
total AS (
    SELECT COALESCE(SUM(CASE WHEN is_now THEN tickets ELSE 0 END), 0) AS tickets,
           COALESCE(SUM(CASE WHEN is_now THEN pieces ELSE 0 END), 0) AS pieces,
           COALESCE(SUM(CASE WHEN is_now THEN net_cents ELSE 0 END), 0) AS net_revenue,
           COALESCE(SUM(CASE WHEN is_now THEN sold_cents ELSE 0 END), 0) AS sold_revenue,
           COALESCE(SUM(CASE WHEN is_now THEN margin_cents ELSE 0 END), 0) AS margin,
           COALESCE(SUM(CASE WHEN is_now THEN discount_cents ELSE 0 END), 0) AS discount,
           COALESCE(SUM(CASE WHEN is_now THEN sold_cents - net_cents ELSE 0 END), 0) AS returned,
           COALESCE(SUM(CASE WHEN is_now AND channel = 'store' THEN net_cents ELSE 0 END), 0) AS store_revenue,
           COALESCE(SUM(CASE WHEN is_now AND channel <> 'store' THEN net_cents ELSE 0 END), 0) AS online_revenue,
           COALESCE(SUM(CASE WHEN is_before THEN net_cents ELSE 0 END), 0) AS previous_revenue,
           COALESCE(SUM(CASE WHEN is_year_ago THEN net_cents ELSE 0 END), 0) AS year_ago_revenue
    FROM cells
)
SELECT tickets, pieces, net_revenue, margin,
       CASE WHEN net_revenue <> 0 THEN margin * 100.0 / net_revenue END AS margin_rate,
       CASE WHEN tickets > 0 THEN sold_revenue / tickets END AS average_ticket,
       discount, returned, store_revenue, online_revenue, previous_revenue,
       CASE WHEN previous_revenue > 0 THEN (net_revenue - previous_revenue) * 100.0 / previous_revenue END AS change,
       year_ago_revenue,
       CASE WHEN year_ago_revenue > 0 THEN (net_revenue - year_ago_revenue) * 100.0 / year_ago_revenue END AS year_change
FROM total
ORDER BY net_revenue
