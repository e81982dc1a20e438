/*---
title = "Channel mix"
description = "How net revenue, tickets and margin divide between store and online."
section = "Sales"
grain = "day"
key = ["channel"]
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
channel = { type = "string", title = "Channel" }
tickets = { type = "int64", title = "Tickets", note = "Completed sales and orders that count; returns are none." }
pieces = { type = "int64", title = "Pieces", unit = "pieces", note = "Sold less returned." }
net_revenue = { type = "money", title = "Net revenue", note = "After discounts, without cancelled orders and voided sales; returns are deducted on the day of the return." }
share = { type = "float", title = "Share", unit = "%", note = "Of the net revenue of all rows together." }
margin = { type = "money", title = "Margin", note = "Net revenue less the cost frozen on each line." }
margin_rate = { type = "float", title = "Margin rate", unit = "%" }
average_ticket = { type = "money", title = "Average ticket", note = "Net revenue by tickets, rounded half to even." }
[chart]
kind = "pie"
x = "channel"
y = "net_revenue"
---*/
WITH by_channel AS (
    SELECT channel, COUNT(DISTINCT CASE WHEN NOT is_return THEN document_key END) AS tickets, SUM(quantity) AS pieces,
           SUM(net_cents) AS net_revenue, SUM(margin_cents) AS margin
    FROM sales
    WHERE business_day BETWEEN $from AND $to
    GROUP BY channel
),
total AS (
    SELECT SUM(net_revenue) AS total_revenue FROM by_channel
)
SELECT b.channel AS channel, b.tickets AS tickets, b.pieces AS pieces, b.net_revenue AS net_revenue,
       CASE WHEN t.total_revenue <> 0 THEN b.net_revenue * 100.0 / t.total_revenue END AS share, b.margin AS margin,
       CASE WHEN b.net_revenue <> 0 THEN b.margin * 100.0 / b.net_revenue END AS margin_rate,
       CASE WHEN b.tickets > 0 THEN b.net_revenue / b.tickets END AS average_ticket
FROM by_channel AS b
CROSS JOIN total AS t
ORDER BY channel
