/*---
title = "Revenue trend"
description = "Net revenue of every day with its average over the seven days that end on it, which smooths the week."
section = "Sales"
grain = "day"
lookback = 6
key = ["day"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[derived]
first = "$from - 6d"
[days]
from = "$from - 6d"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
day = { type = "date", title = "Day" }
net_revenue = { type = "money", title = "Net revenue", note = "After discounts, without cancelled orders and voided sales; returns are deducted on the day of the return." }
average_revenue = { type = "money", title = "Average of 7 days", note = "Of the day and the six before it, days without sales included; rounded half to even." }
running_revenue = { type = "money", title = "Running total", note = "From the first day of the period." }
[chart]
kind = "line"
x = "day"
y = "average_revenue"
---*/
WITH by_day AS (
    SELECT business_day AS sales_day, SUM(net_cents) AS revenue
    FROM sales
    WHERE business_day BETWEEN $first AND $to
    GROUP BY business_day
),
every_day AS (
    SELECT c.business_day AS day, COALESCE(d.revenue, 0) AS net_revenue,
           CASE WHEN c.business_day >= $from THEN COALESCE(d.revenue, 0) ELSE 0 END AS asked_revenue
    FROM calendar AS c
    LEFT JOIN by_day AS d ON d.sales_day = c.business_day
    WHERE c.business_day BETWEEN $first AND $to
),
running AS (
    SELECT day, net_revenue,
           SUM(net_revenue) OVER (ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total,
           SUM(asked_revenue) OVER (ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running_revenue
    FROM every_day
),
lagged AS (
    SELECT day, net_revenue, total, running_revenue, LAG(total, 7) OVER (ORDER BY day) AS total_before
    FROM running
)
SELECT day, net_revenue, (total - COALESCE(total_before, 0)) / 7 AS average_revenue, running_revenue
FROM lagged
WHERE day >= $from
ORDER BY day
