/*---
title = "Register performance"
description = "What each register took: tickets, pieces, net revenue and average ticket."
section = "Sales"
grain = "day"
key = ["store", "register"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
store = { type = "string", title = "Store" }
register = { type = "int32", title = "Register" }
tickets = { type = "int64", title = "Tickets", note = "Completed sales and orders that count; returns are none." }
returns = { type = "int64", title = "Returns", note = "Return documents." }
pieces = { type = "int64", title = "Pieces", unit = "pieces", note = "Sold less returned." }
net_revenue = { type = "money", title = "Net revenue", note = "After discounts, without cancelled orders and voided sales; returns are deducted on the day of the return." }
average_ticket = { type = "money", title = "Average ticket", note = "Net revenue by tickets, rounded half to even." }
[chart]
kind = "bar"
x = "register"
y = "net_revenue"
series = "store"
---*/
WITH by_register AS (
    SELECT store_id, register_id, COUNT(DISTINCT CASE WHEN NOT is_return THEN document_key END) AS tickets,
           COUNT(DISTINCT CASE WHEN is_return THEN document_key END) AS returns, SUM(quantity) AS pieces, SUM(net_cents) AS net_revenue
    FROM sales
    WHERE channel = 'store' AND business_day BETWEEN $from AND $to
    GROUP BY store_id, register_id
)
SELECT s.code AS store, r.number AS register, b.tickets AS tickets, b.returns AS returns, b.pieces AS pieces, b.net_revenue AS net_revenue,
       CASE WHEN b.tickets > 0 THEN b.net_revenue / b.tickets END AS average_ticket
FROM by_register AS b
JOIN stores AS s ON s.store_id = b.store_id
JOIN registers AS r ON r.register_id = b.register_id
ORDER BY store, register
