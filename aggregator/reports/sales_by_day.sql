/*---
title = "Sales by day"
description = "Every day of the period, also those without a sale, against the same weekday a week and a year before."
section = "Sales"
grain = "day"
key = ["day"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[derived]
year_from = "$from - 364d"
[days]
from = "$from - 364d"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
day = { type = "date", title = "Day" }
weekday = { type = "int32", title = "Weekday", note = "1 is Monday." }
tickets = { type = "int64", title = "Tickets", note = "Completed sales and orders that count; returns are none." }
pieces = { type = "int64", title = "Pieces", unit = "pieces", note = "Sold less returned." }
net_revenue = { type = "money", title = "Net revenue", note = "After discounts, without cancelled orders and voided sales; returns are deducted on the day of the return." }
margin = { type = "money", title = "Margin", note = "Net revenue less the cost frozen on each line." }
average_ticket = { type = "money", title = "Average ticket", note = "Net revenue by tickets, rounded half to even." }
week_ago_revenue = { type = "money", title = "Net revenue a week ago", note = "Of the same weekday, 7 days earlier." }
year_ago_revenue = { type = "money", title = "Net revenue a year ago", note = "Of the same weekday, 364 days earlier." }
[chart]
kind = "line"
x = "day"
y = "net_revenue"
---*/
WITH by_day AS (
    SELECT business_day, COUNT(DISTINCT CASE WHEN NOT is_return THEN document_key END) AS tickets,
           SUM(quantity) AS pieces, SUM(net_cents) AS net_revenue, SUM(margin_cents) AS margin
    FROM sales
    WHERE business_day BETWEEN $year_from AND $to
    GROUP BY business_day
),
week_ago AS (
    SELECT business_day AS week_day, net_revenue AS week_ago_revenue FROM by_day
),
year_ago AS (
    SELECT business_day AS year_day, net_revenue AS year_ago_revenue FROM by_day
)
SELECT c.business_day AS day, c.day_of_week AS weekday, COALESCE(d.tickets, 0) AS tickets, COALESCE(d.pieces, 0) AS pieces,
       COALESCE(d.net_revenue, 0) AS net_revenue, COALESCE(d.margin, 0) AS margin,
       CASE WHEN d.tickets > 0 THEN d.net_revenue / d.tickets END AS average_ticket,
       COALESCE(w.week_ago_revenue, 0) AS week_ago_revenue, COALESCE(y.year_ago_revenue, 0) AS year_ago_revenue
FROM calendar AS c
LEFT JOIN by_day AS d ON d.business_day = c.business_day
LEFT JOIN week_ago AS w ON w.week_day = c.previous_week_day
LEFT JOIN year_ago AS y ON y.year_day = c.previous_year_day
WHERE c.business_day BETWEEN $from AND $to
ORDER BY day
