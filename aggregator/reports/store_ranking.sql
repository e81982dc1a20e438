/*---
title = "Top and under-performing stores"
description = "Stores by net revenue against the average store: which lead, which stay below a share of it, and how each stood in the period before and on the same weekdays a year ago. A row for each active store, and for each other that was open in the period. Order: place."
section = "Sales"
grain = "day"
inherits = "sales"
key = ["store"]
[params]
top = { type = "int", title = "How many lead", default = 3, min = 1, max = 1000 }
under = { type = "int", title = "Under-performing below (% of average)", default = 80, min = 1, max = 100 }
[publish]
[columns]
place = { type = "int64", title = "Place", note = "1 is the most net revenue; ties by store." }
store = { type = "string", title = "Store", note = "The store's code." }
store_name = { type = "string", title = "Name", note = "Of the store, when the figures were computed.", label = true }
average_revenue = { type = "money", title = "Average store", note = "Net revenue of the stores that were open in the period, by their number. A store was open if it had a sale or return in the period, or by its dates: it opened on the last day or before, and closed on the first day or later, or is active and has no date of closing. Rounded half to even; empty where none was open." }
index_to_average = { type = "float", title = "Index", note = "The average store is 100; empty for a store that was not open, and where the average is not above zero." }
standing = { type = "string", title = "Standing", note = "The first that holds. not open: as told under the average store; top: among the first; under-performing: below the given share of the average store; else middle." }
[chart]
kind = "bar"
x = "store"
y = "net_revenue"
---*/
WITH cells AS (
    SELECT store_id, lines, net_cents, margin_cents, business_day BETWEEN $from AND $to AS is_now,
           business_day BETWEEN $before_from AND $before_to AS is_before, business_day BETWEEN $year_from AND $year_to AS is_year_ago
    FROM store_days
    WHERE channel = 'store' AND (business_day BETWEEN $before_from AND $to OR business_day BETWEEN $year_from AND $year_to)
),
by_store AS (
    SELECT store_id, SUM(CASE WHEN is_now THEN lines ELSE 0 END) AS lines_now,
           SUM(CASE WHEN is_now THEN net_cents ELSE 0 END) AS net_revenue,
           SUM(CASE WHEN is_now THEN margin_cents ELSE 0 END) AS margin,
           SUM(CASE WHEN is_before THEN net_cents ELSE 0 END) AS previous_revenue,
           SUM(CASE WHEN is_year_ago THEN net_cents ELSE 0 END) AS year_ago_revenue
    FROM cells
    GROUP BY store_id
),
every_store AS (
    SELECT s.code AS store, s.name AS store_name, s.active AS active,
           CASE WHEN COALESCE(b.lines_now, 0) > 0 THEN TRUE
                WHEN s.opened_on <= $to THEN COALESCE(s.closed_on >= $from, s.active)
                ELSE FALSE END AS was_open,
           COALESCE(b.net_revenue, 0) AS net_revenue, COALESCE(b.margin, 0) AS margin,
           COALESCE(b.previous_revenue, 0) AS previous_revenue, COALESCE(b.year_ago_revenue, 0) AS year_ago_revenue
    FROM stores AS s
    LEFT JOIN by_store AS b ON b.store_id = s.store_id
),
listed AS (
    SELECT store, store_name, was_open, net_revenue, margin, previous_revenue, year_ago_revenue FROM every_store WHERE active OR was_open
),
average AS (
    SELECT SUM(net_revenue) AS total, SUM(CASE WHEN was_open THEN 1 ELSE 0 END) AS number FROM listed
),
placed AS (
    SELECT e.store AS store, e.store_name AS store_name, e.was_open AS was_open, e.net_revenue AS net_revenue, e.margin AS margin,
           e.previous_revenue AS previous_revenue, e.year_ago_revenue AS year_ago_revenue, a.total AS total, a.number AS number,
           -e.net_revenue AS negative_revenue
    FROM listed AS e
    CROSS JOIN average AS a
),
ranked AS (
    SELECT store, store_name, was_open, net_revenue, margin, previous_revenue, year_ago_revenue, total, number,
           ROW_NUMBER() OVER (ORDER BY negative_revenue, store) AS place
    FROM placed
)
SELECT place, store, store_name, net_revenue, margin, CASE WHEN number > 0 THEN total / number END AS average_revenue,
       CASE WHEN was_open AND total > 0 THEN net_revenue * 100.0 * number / total END AS index_to_average,
       CASE WHEN NOT was_open THEN 'not open'
            WHEN place <= $top THEN 'top'
            WHEN net_revenue * 100 * number < total * $under THEN 'under-performing'
            ELSE 'middle' END AS standing,
       previous_revenue,
       CASE WHEN previous_revenue > 0 THEN (net_revenue - previous_revenue) * 100.0 / previous_revenue END AS change,
       year_ago_revenue,
       CASE WHEN year_ago_revenue > 0 THEN (net_revenue - year_ago_revenue) * 100.0 / year_ago_revenue END AS year_change
FROM ranked
ORDER BY place, store
