/*---
title = "Store performance"
description = "Tickets, pieces, net revenue, margin and average ticket of every store, with its share of all stores and the change against the period before and the same weekdays a year ago."
section = "Sales"
grain = "day"
inherits = "sales"
key = ["store"]
[params]
limit = { type = "int", title = "Rows", default = 50, min = 1, max = 10000 }
[publish]
limit = 10000
[columns]
store           = { type = "string", title = "Store", note = "The store's code." }
store_name      = { type = "string", title = "Name" }
city            = { type = "string", title = "City" }
net_revenue     = { type = "money", title = "Net revenue", note = "After discounts, without voided sales; returns are deducted on the day of the return." }
share           = { type = "float", title = "Share of all stores", unit = "%" }
[chart]
kind = "bar"
x = "store"
y = "net_revenue"
---*/
WITH lines AS (
    SELECT store_id, document_key, is_return, quantity, net_cents, margin_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM sales
    WHERE channel = 'store' AND (business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to)
),
by_store AS (
    SELECT store_id,
           COUNT(DISTINCT CASE WHEN is_now AND NOT is_return THEN document_key END) AS tickets,
           SUM(CASE WHEN is_now THEN quantity ELSE 0 END) AS pieces,
           SUM(CASE WHEN is_now THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN is_now THEN margin_cents ELSE 0 END) AS margin,
           SUM(CASE WHEN is_before THEN net_cents ELSE 0 END) AS previous_revenue,
           SUM(CASE WHEN is_year_ago THEN net_cents ELSE 0 END) AS year_ago_revenue
    FROM lines
    GROUP BY store_id
),
every_store AS (
    SELECT s.code AS store, s.name AS store_name, s.city AS city,
           COALESCE(b.tickets, 0) AS tickets, COALESCE(b.pieces, 0) AS pieces, COALESCE(b.net_revenue, 0) AS net_revenue,
           COALESCE(b.margin, 0) AS margin, COALESCE(b.previous_revenue, 0) AS previous_revenue, COALESCE(b.year_ago_revenue, 0) AS year_ago_revenue
    FROM stores AS s
    LEFT JOIN by_store AS b ON b.store_id = s.store_id
),
total AS (
    SELECT SUM(net_revenue) AS total_revenue FROM every_store
)
SELECT e.store AS store, e.store_name AS store_name, e.city AS city, e.tickets AS tickets, e.pieces AS pieces,
       e.net_revenue AS net_revenue, e.margin AS margin,
       CASE WHEN e.tickets > 0 THEN e.net_revenue / e.tickets END AS average_ticket,
       CASE WHEN t.total_revenue <> 0 THEN e.net_revenue * 100.0 / t.total_revenue END AS share,
       e.previous_revenue AS previous_revenue,
       CASE WHEN e.previous_revenue > 0 THEN (e.net_revenue - e.previous_revenue) * 100.0 / e.previous_revenue END AS change,
       e.year_ago_revenue AS year_ago_revenue,
       CASE WHEN e.year_ago_revenue > 0 THEN (e.net_revenue - e.year_ago_revenue) * 100.0 / e.year_ago_revenue END AS year_change
FROM every_store AS e
CROSS JOIN total AS t
ORDER BY net_revenue DESC, store
LIMIT $limit
