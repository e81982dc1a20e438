/*---
title = "Sales by week"
description = "Weeks from Monday to Sunday, as far as they lie in the period, against the same weekdays a year ago. Published as the week to date."
section = "Sales"
grain = "day"
lookback = 6
key = ["week_start"]
[params]
from = { type = "date", title = "From", default = "today-90d" }
to = { type = "date", title = "To", default = "yesterday" }
[derived]
year_from = "$from - 364d"
year_to = "$to - 364d"
[days]
from = "$from - 364d"
to = "$to"
[publish]
from = "$business_week"
to = "$business_day"
[columns]
week_start = { type = "date", title = "Week from" }
days = { type = "int64", title = "Days", unit = "days", note = "Days of it that lie in the period." }
tickets = { type = "int64", title = "Tickets", note = "Completed sales and orders that count; returns are none." }
pieces = { type = "int64", title = "Pieces", unit = "pieces", note = "Sold less returned." }
net_revenue = { type = "money", title = "Net revenue", note = "After discounts, without cancelled orders and voided sales; returns are deducted on the day of the return." }
margin = { type = "money", title = "Margin", note = "Net revenue less the cost frozen on each line." }
average_ticket = { type = "money", title = "Average ticket", note = "Net revenue by tickets, rounded half to even." }
year_ago_revenue = { type = "money", title = "Net revenue a year ago", note = "Of the same weekdays, 364 days earlier." }
change = { type = "float", title = "Change on the year", unit = "%", note = "Empty where there was no revenue a year ago." }
[chart]
kind = "bar"
x = "week_start"
y = "net_revenue"
---*/
WITH now AS (
    SELECT c.week_start AS week_start, COUNT(DISTINCT CASE WHEN NOT s.is_return THEN s.document_key END) AS tickets,
           SUM(s.quantity) AS pieces, SUM(s.net_cents) AS net_revenue, SUM(s.margin_cents) AS margin
    FROM sales AS s
    JOIN calendar AS c ON c.business_day = s.business_day
    WHERE s.business_day BETWEEN $from AND $to
    GROUP BY week_start
),
year_ago AS (
    SELECT c.week_start AS year_week_start, SUM(s.net_cents) AS year_ago_revenue
    FROM sales AS s
    JOIN calendar AS c ON c.previous_year_day = s.business_day
    WHERE s.business_day BETWEEN $year_from AND $year_to
    GROUP BY year_week_start
),
periods AS (
    SELECT week_start AS week_start, COUNT(*) AS days FROM calendar WHERE business_day BETWEEN $from AND $to GROUP BY week_start
)
SELECT p.week_start AS week_start, p.days AS days, COALESCE(n.tickets, 0) AS tickets, COALESCE(n.pieces, 0) AS pieces,
       COALESCE(n.net_revenue, 0) AS net_revenue, COALESCE(n.margin, 0) AS margin,
       CASE WHEN n.tickets > 0 THEN n.net_revenue / n.tickets END AS average_ticket,
       COALESCE(y.year_ago_revenue, 0) AS year_ago_revenue,
       CASE WHEN y.year_ago_revenue > 0 THEN (COALESCE(n.net_revenue, 0) - y.year_ago_revenue) * 100.0 / y.year_ago_revenue END AS change
FROM periods AS p
LEFT JOIN now AS n ON n.week_start = p.week_start
LEFT JOIN year_ago AS y ON y.year_week_start = p.week_start
ORDER BY week_start
