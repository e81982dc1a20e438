/*---
title = "Sales by week"
description = "Weeks from Monday to Sunday, as far as they lie in the period, against the week before and the same weekdays a year ago. Published as the week to date. A row for each week of the period, also without a sale. Order: week from."
section = "Sales"
engine = "in-memory"
grain = "day"
inherits = "sales"
lookback = 13
key = ["week_start"]
[params]
from = { type = "date", title = "From", default = "today-90d" }
[[days]]
from = "$from - 7d"
to = "$to"
[[days]]
from = "$from - 364d"
to = "$to - 364d"
[publish]
from = "$business_week"
[columns]
week_start = { type = "date", title = "Week from", note = "Monday of the week, also where the period begins later." }
days = { type = "int64", title = "Days", unit = "days", note = "Days of it that lie in the period." }
previous_revenue = { type = "money", title = "Net revenue before", note = "Of the same weekdays, 7 days earlier." }
[chart]
kind = "bar"
x = "week_start"
y = "net_revenue"
---*/
WITH by_week AS (
    SELECT week_start, COUNT(*) AS days, SUM(tickets) AS tickets, SUM(pieces) AS pieces, SUM(net_cents) AS net_revenue, SUM(sold_cents) AS sold_revenue, SUM(margin_cents) AS margin,
           SUM(week_ago_cents) AS previous_revenue, SUM(year_ago_cents) AS year_ago_revenue
    FROM compared_days
    WHERE business_day BETWEEN $from AND $to
    GROUP BY week_start
)
SELECT week_start, days, tickets, pieces, net_revenue, margin,
       CASE WHEN tickets > 0 THEN sold_revenue / tickets END AS average_ticket, previous_revenue,
       CASE WHEN previous_revenue > 0 THEN (net_revenue - previous_revenue) * 100.0 / previous_revenue END AS change, year_ago_revenue,
       CASE WHEN year_ago_revenue > 0 THEN (net_revenue - year_ago_revenue) * 100.0 / year_ago_revenue END AS year_change
FROM by_week
ORDER BY week_start
