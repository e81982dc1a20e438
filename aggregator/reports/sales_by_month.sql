/*---
title = "Sales by month"
description = "Calendar months, as far as they lie in the period, against the same weekdays four weeks and a year before. Published as the month to date. A row for each month of the period, also without a sale. Order: month from."
section = "Sales"
engine = "in-memory"
grain = "day"
inherits = "sales"
lookback = 58
key = ["month_start"]
[params]
from = { type = "date", title = "From", default = "today-90d" }
[[days]]
from = "$from - 28d"
to = "$to"
[[days]]
from = "$from - 364d"
to = "$to - 364d"
[publish]
from = "$business_month"
[columns]
month_start = { type = "date", title = "Month from", note = "First day of the month, also where the period begins later." }
days = { type = "int64", title = "Days", unit = "days", note = "Days of it that lie in the period." }
previous_revenue = { type = "money", title = "Net revenue before", note = "Of the same weekdays, 28 days earlier." }
[chart]
kind = "bar"
x = "month_start"
y = "net_revenue"
---*/
WITH by_month AS (
    SELECT month_start, COUNT(*) AS days, SUM(tickets) AS tickets, SUM(pieces) AS pieces, SUM(net_cents) AS net_revenue, SUM(sold_cents) AS sold_revenue, SUM(margin_cents) AS margin,
           SUM(month_ago_cents) AS previous_revenue, SUM(year_ago_cents) AS year_ago_revenue
    FROM compared_days
    WHERE business_day BETWEEN $from AND $to
    GROUP BY month_start
)
SELECT month_start, days, tickets, pieces, net_revenue, margin,
       CASE WHEN tickets > 0 THEN sold_revenue / tickets END AS average_ticket, previous_revenue,
       CASE WHEN previous_revenue > 0 THEN (net_revenue - previous_revenue) * 100.0 / previous_revenue END AS change, year_ago_revenue,
       CASE WHEN year_ago_revenue > 0 THEN (net_revenue - year_ago_revenue) * 100.0 / year_ago_revenue END AS year_change
FROM by_month
ORDER BY month_start
