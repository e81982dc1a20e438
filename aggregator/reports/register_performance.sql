/*---
title = "Register performance"
description = "What each register took: tickets, pieces, net revenue and average ticket, against the period before and the same weekdays a year ago. A row for each known register with a line in any of the three. Order: store, then register."
section = "Sales"
engine = "in-memory"
grain = "day"
inherits = "sales"
key = ["store", "register"]
[publish]
[columns]
store = { type = "string", title = "Store", note = "The store's code." }
register = { type = "int32", title = "Register", note = "The register's number in its store." }
returns = { type = "int64", title = "Returns", note = "Return documents." }
[chart]
kind = "bar"
x = "register"
y = "net_revenue"
series = "store"
---*/
WITH periods AS (
    SELECT store_id, register_id, SUM(tickets) AS tickets,
           SUM(returns) AS returns, SUM(pieces) AS pieces, SUM(net_cents) AS net_revenue,
           SUM(sold_cents) AS sold_revenue, 0 AS previous_revenue, 0 AS year_ago_revenue
    FROM register_days
    WHERE channel = 'store' AND business_day BETWEEN $from AND $to
    GROUP BY store_id, register_id
    UNION ALL
    SELECT store_id, register_id, 0 AS tickets, 0 AS returns, 0 AS pieces, 0 AS net_revenue, 0 AS sold_revenue, SUM(net_cents) AS previous_revenue,
           0 AS year_ago_revenue
    FROM register_days
    WHERE channel = 'store' AND business_day BETWEEN $before_from AND $before_to
    GROUP BY store_id, register_id
    UNION ALL
    SELECT store_id, register_id, 0 AS tickets, 0 AS returns, 0 AS pieces, 0 AS net_revenue, 0 AS sold_revenue, 0 AS previous_revenue,
           SUM(net_cents) AS year_ago_revenue
    FROM register_days
    WHERE channel = 'store' AND business_day BETWEEN $year_from AND $year_to
    GROUP BY store_id, register_id
),
by_register AS (
    SELECT store_id, register_id, SUM(tickets) AS tickets, SUM(returns) AS returns, SUM(pieces) AS pieces, SUM(net_revenue) AS net_revenue,
           SUM(sold_revenue) AS sold_revenue,
           SUM(previous_revenue) AS previous_revenue, SUM(year_ago_revenue) AS year_ago_revenue
    FROM periods
    GROUP BY store_id, register_id
)
SELECT s.code AS store, r.number AS register, b.tickets AS tickets, b.returns AS returns, b.pieces AS pieces, b.net_revenue AS net_revenue,
       CASE WHEN b.tickets > 0 THEN b.sold_revenue / b.tickets END AS average_ticket,
       b.previous_revenue AS previous_revenue,
       CASE WHEN b.previous_revenue > 0 THEN (b.net_revenue - b.previous_revenue) * 100.0 / b.previous_revenue END AS change,
       b.year_ago_revenue AS year_ago_revenue,
       CASE WHEN b.year_ago_revenue > 0 THEN (b.net_revenue - b.year_ago_revenue) * 100.0 / b.year_ago_revenue END AS year_change
FROM by_register AS b
JOIN stores AS s ON s.store_id = b.store_id
JOIN registers AS r ON r.register_id = b.register_id
ORDER BY store, register
