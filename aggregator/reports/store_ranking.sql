/*---
title = "Top and under-performing stores"
description = "Stores by net revenue against the average store: which lead, and which stay below a share of it."
section = "Sales"
grain = "day"
key = ["store"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
top = { type = "int", title = "How many lead", default = 3, min = 1, max = 1000 }
under = { type = "int", title = "Under-performing below (% of average)", default = 80, min = 1, max = 100 }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
place = { type = "int64", title = "Place" }
store = { type = "string", title = "Store", note = "The store's code." }
store_name = { type = "string", title = "Name" }
net_revenue = { type = "money", title = "Net revenue" }
margin = { type = "money", title = "Margin" }
average_revenue = { type = "money", title = "Average store", note = "Net revenue of all active stores by their number, rounded half to even." }
index_to_average = { type = "float", title = "Index", note = "The average store is 100." }
standing = { type = "string", title = "Standing", note = "top: among the first; under-performing: below the given share of the average store; else middle." }
[chart]
kind = "bar"
x = "store"
y = "net_revenue"
---*/
WITH by_store AS (
    SELECT store_id, SUM(net_cents) AS net_revenue, SUM(margin_cents) AS margin
    FROM sales
    WHERE channel = 'store' AND business_day BETWEEN $from AND $to
    GROUP BY store_id
),
every_store AS (
    SELECT s.code AS store, s.name AS store_name, COALESCE(b.net_revenue, 0) AS net_revenue, COALESCE(b.margin, 0) AS margin
    FROM stores AS s
    LEFT JOIN by_store AS b ON b.store_id = s.store_id
    WHERE s.active OR b.net_revenue <> 0
),
average AS (
    SELECT SUM(net_revenue) AS total, COUNT(*) AS number FROM every_store
),
placed AS (
    SELECT e.store AS store, e.store_name AS store_name, e.net_revenue AS net_revenue, e.margin AS margin, a.total AS total, a.number AS number,
           -e.net_revenue AS negative_revenue
    FROM every_store AS e
    CROSS JOIN average AS a
),
ranked AS (
    SELECT store, store_name, net_revenue, margin, total, number, ROW_NUMBER() OVER (ORDER BY negative_revenue, store) AS place
    FROM placed
)
SELECT place, store, store_name, net_revenue, margin, total / number AS average_revenue,
       CASE WHEN total > 0 THEN net_revenue * 100.0 * number / total END AS index_to_average,
       CASE WHEN net_revenue * 100 * number < total * $under THEN 'under-performing'
            WHEN place <= $top THEN 'top'
            ELSE 'middle' END AS standing
FROM ranked
ORDER BY place, store
