/*---
title = "Store performance"
description = "Tickets, pieces, net revenue, margin and average ticket of every store, with its share of all stores and the change against the period before."
section = "Sales"
grain = "day"
lookback = 1
key = ["store"]
[params]
from  = { type = "date", title = "From", default = "today-30d" }
to    = { type = "date", title = "To", default = "yesterday" }
limit = { type = "int", title = "Rows", default = 50, min = 1, max = 10000 }
[derived]
before_from = "$from - span"
[days]
from = "$from - span"
to   = "$to"
[publish]
from  = "$business_day"
to    = "$business_day"
limit = 10000
[columns]
store           = { type = "string", title = "Store", note = "The store's code." }
store_name      = { type = "string", title = "Name" }
city            = { type = "string", title = "City" }
tickets         = { type = "int64", title = "Tickets", note = "Completed sales; returns and voided sales are none." }
pieces          = { type = "int64", title = "Pieces", unit = "pieces", note = "Sold less returned." }
net_revenue     = { type = "money", title = "Net revenue", note = "After discounts; returns are deducted on the day of the return." }
margin          = { type = "money", title = "Margin", note = "Net revenue less the cost frozen on each line." }
average_ticket  = { type = "money", title = "Average ticket", note = "Net revenue by tickets." }
share           = { type = "float", title = "Share of all stores", unit = "%" }
previous_revenue = { type = "money", title = "Net revenue before", note = "Of as many days just before the period." }
change          = { type = "float", title = "Change", unit = "%", note = "Against the period before; empty where there was no revenue." }
[chart]
kind = "bar"
x = "store"
y = "net_revenue"
---*/
WITH lines AS (
    SELECT store_id, document_key, is_return, quantity, net_cents, margin_cents, business_day >= $from AS is_now
    FROM sales
    WHERE channel = 'store' AND business_day BETWEEN $before_from AND $to
),
by_store AS (
    SELECT store_id,
           COUNT(DISTINCT CASE WHEN is_now AND NOT is_return THEN document_key END) AS tickets,
           SUM(CASE WHEN is_now THEN quantity ELSE 0 END) AS pieces,
           SUM(CASE WHEN is_now THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN is_now THEN margin_cents ELSE 0 END) AS margin,
           SUM(CASE WHEN is_now THEN 0 ELSE net_cents END) AS previous_revenue
    FROM lines
    GROUP BY store_id
),
every_store AS (
    SELECT s.code AS store, s.name AS store_name, s.city AS city,
           COALESCE(b.tickets, 0) AS tickets, COALESCE(b.pieces, 0) AS pieces, COALESCE(b.net_revenue, 0) AS net_revenue,
           COALESCE(b.margin, 0) AS margin, COALESCE(b.previous_revenue, 0) AS previous_revenue
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
       CASE WHEN e.previous_revenue > 0 THEN (e.net_revenue - e.previous_revenue) * 100.0 / e.previous_revenue END AS change
FROM every_store AS e
CROSS JOIN total AS t
ORDER BY net_revenue DESC, store
LIMIT $limit
