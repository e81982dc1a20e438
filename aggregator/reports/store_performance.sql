/*---
title = "Store performance"
description = "Tickets, pieces, net revenue, margin and average ticket of every store, with its share of all stores and the change against the period before and the same weekdays a year ago; beside it that of all stores together, and of the comparable ones: a chain that opens stores grows without one of them selling more. A row for each store, whether or not it was open, up to the limit. Order: net revenue, most first; ties by store."
section = "Sales"
engine = "in-memory"
grain = "day"
inherits = "sales"
key = ["store"]
[params]
limit = { type = "int", title = "Rows", default = 50, min = 1, max = 10000 }
[publish]
limit = 10000
[columns]
store           = { type = "string", title = "Store", note = "The store's code." }
store_name      = { type = "string", title = "Name", note = "Of the store, when the figures were computed.", label = true }
city            = { type = "string", title = "City", note = "Of the store, when the figures were computed.", label = true }
net_revenue     = { type = "money", title = "Net revenue", note = "After discounts, without voided sales; returns are deducted on the day of the return." }
share           = { type = "float", title = "Share of all stores", unit = "%", note = "Of the net revenue of all stores, also of those beyond the limit; empty where that is zero." }
comparable      = { type = "bool", title = "Comparable", note = "Open for the whole year between both sides: it opened on the first of the days a year ago or before, and closed on the last day of the period or later, or is active and has no date of closing. Where its dates do not tell, it was open on a side if it had a sale or return in it." }
comparable_year_change = { type = "float", title = "Comparable stores on the year", unit = "%", note = "Net revenue of all comparable stores together against theirs of a year ago; empty where that was not above zero. The same on each row." }
all_year_change = { type = "float", title = "All stores on the year", unit = "%", note = "Net revenue of all stores together against theirs of a year ago; empty where that was not above zero. The same on each row." }
[chart]
kind = "bar"
x = "store"
y = "net_revenue"
---*/
WITH periods AS (
    SELECT store_id, SUM(tickets) AS tickets, SUM(pieces) AS pieces,
           SUM(net_cents) AS net_revenue, SUM(sold_cents) AS sold_revenue,
           SUM(margin_cents) AS margin, 0 AS previous_revenue, 0 AS year_ago_revenue, SUM(lines) AS lines_now, 0 AS lines_year_ago
    FROM store_days
    WHERE channel = 'store' AND business_day BETWEEN $from AND $to
    GROUP BY store_id
    UNION ALL
    SELECT store_id, 0 AS tickets, 0 AS pieces, 0 AS net_revenue, 0 AS sold_revenue, 0 AS margin, SUM(net_cents) AS previous_revenue,
           0 AS year_ago_revenue, 0 AS lines_now, 0 AS lines_year_ago
    FROM store_days
    WHERE channel = 'store' AND business_day BETWEEN $before_from AND $before_to
    GROUP BY store_id
    UNION ALL
    SELECT store_id, 0 AS tickets, 0 AS pieces, 0 AS net_revenue, 0 AS sold_revenue, 0 AS margin, 0 AS previous_revenue,
           SUM(net_cents) AS year_ago_revenue, 0 AS lines_now, SUM(lines) AS lines_year_ago
    FROM store_days
    WHERE channel = 'store' AND business_day BETWEEN $year_from AND $year_to
    GROUP BY store_id
),
by_store AS (
    SELECT store_id, SUM(tickets) AS tickets, SUM(pieces) AS pieces, SUM(net_revenue) AS net_revenue, SUM(sold_revenue) AS sold_revenue, SUM(margin) AS margin,
           SUM(previous_revenue) AS previous_revenue, SUM(year_ago_revenue) AS year_ago_revenue,
           SUM(lines_now) AS lines_now, SUM(lines_year_ago) AS lines_year_ago
    FROM periods
    GROUP BY store_id
),
every_store AS (
    SELECT s.code AS store, s.name AS store_name, s.city AS city,
           COALESCE(b.tickets, 0) AS tickets, COALESCE(b.pieces, 0) AS pieces, COALESCE(b.net_revenue, 0) AS net_revenue,
           COALESCE(b.sold_revenue, 0) AS sold_revenue,
           COALESCE(b.margin, 0) AS margin, COALESCE(b.previous_revenue, 0) AS previous_revenue, COALESCE(b.year_ago_revenue, 0) AS year_ago_revenue,
           CASE WHEN s.opened_on IS NOT NULL THEN s.opened_on <= $year_from ELSE COALESCE(b.lines_year_ago, 0) > 0 END AS was_open,
           CASE WHEN s.closed_on IS NOT NULL THEN s.closed_on >= $to
                ELSE s.active OR COALESCE(b.lines_now, 0) > 0 END AS is_open
    FROM stores AS s
    LEFT JOIN by_store AS b ON b.store_id = s.store_id
),
compared AS (
    SELECT store, store_name, city, tickets, pieces, net_revenue, sold_revenue, margin, previous_revenue, year_ago_revenue,
           was_open AND is_open AS comparable
    FROM every_store
),
total AS (
    SELECT SUM(net_revenue) AS total_revenue, SUM(year_ago_revenue) AS total_year_ago,
           SUM(CASE WHEN comparable THEN net_revenue ELSE 0 END) AS comparable_revenue,
           SUM(CASE WHEN comparable THEN year_ago_revenue ELSE 0 END) AS comparable_year_ago
    FROM compared
)
SELECT e.store AS store, e.store_name AS store_name, e.city AS city, e.tickets AS tickets, e.pieces AS pieces,
       e.net_revenue AS net_revenue, e.margin AS margin,
       CASE WHEN e.tickets > 0 THEN e.sold_revenue / e.tickets END AS average_ticket,
       CASE WHEN t.total_revenue <> 0 THEN e.net_revenue * 100.0 / t.total_revenue END AS share,
       e.previous_revenue AS previous_revenue,
       CASE WHEN e.previous_revenue > 0 THEN (e.net_revenue - e.previous_revenue) * 100.0 / e.previous_revenue END AS change,
       e.year_ago_revenue AS year_ago_revenue,
       CASE WHEN e.year_ago_revenue > 0 THEN (e.net_revenue - e.year_ago_revenue) * 100.0 / e.year_ago_revenue END AS year_change,
       e.comparable AS comparable,
       CASE WHEN t.comparable_year_ago > 0 THEN (t.comparable_revenue - t.comparable_year_ago) * 100.0 / t.comparable_year_ago END AS comparable_year_change,
       CASE WHEN t.total_year_ago > 0 THEN (t.total_revenue - t.total_year_ago) * 100.0 / t.total_year_ago END AS all_year_change
FROM compared AS e
CROSS JOIN total AS t
ORDER BY net_revenue DESC, store
LIMIT $limit
