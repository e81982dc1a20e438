/*---
title = "Daily sales in detail"
description = "The finest published grain: day, store, channel and category, for dashboards to slice and to hold against any other day of it: so it carries no comparison of its own, which most cells of a day would not have. A row for each day, channel, store and category with a line in the period. Order: day, then channel, store, category."
section = "Sales"
grain = "day"
inherits = "sales"
lookback = 0
key = ["day", "channel", "store", "category"]
[days]
from = "$from"
to = "$to"
[publish]
[columns]
day = { type = "date", title = "Day" }
channel = { type = "string", title = "Channel" }
store = { type = "string", title = "Store", note = "The store's code, as it is now; online where there is none, unknown for all stores that nobody knows." }
category = { type = "string", title = "Category" }
tickets = { type = "int64", title = "Tickets", note = "Tickets with a line of this category: do not add them up over categories." }
[chart]
kind = "line"
x = "day"
y = "net_revenue"
series = "channel"
---*/
WITH by_cell AS (
    SELECT business_day, channel, store_id, category, SUM(tickets) AS tickets,
           SUM(pieces) AS pieces, SUM(net_cents) AS net_revenue, SUM(cost_cents) AS cost, SUM(margin_cents) AS margin, SUM(discount_cents) AS discount
    FROM store_category_days
    WHERE business_day BETWEEN $from AND $to
    GROUP BY business_day, channel, store_id, category
), named AS (
    SELECT b.business_day AS day, b.channel AS channel, b.category AS category, b.tickets AS tickets, b.pieces AS pieces,
           b.net_revenue AS net_revenue, b.cost AS cost, b.margin AS margin, b.discount AS discount,
           COALESCE(s.code, CASE WHEN b.store_id IS NULL THEN 'online' ELSE 'unknown' END) AS store
    FROM by_cell AS b
    LEFT JOIN stores AS s ON s.store_id = b.store_id
)
SELECT day, channel, store, category, SUM(tickets) AS tickets, SUM(pieces) AS pieces, SUM(net_revenue) AS net_revenue,
       SUM(cost) AS cost, SUM(margin) AS margin, SUM(discount) AS discount
FROM named
GROUP BY day, channel, store, category
ORDER BY day, channel, store, category
