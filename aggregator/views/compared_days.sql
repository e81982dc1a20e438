/*---
title = "Compared days"
description = "One row per day of the calendar, also those without a sale: its week and month, what was sold (sold_cents: without returns), and the net revenue of the same weekday 7, 28 and 364 days earlier."
---*/
WITH compared_daily AS (
    SELECT business_day AS sales_day, SUM(tickets) AS tickets,
           SUM(pieces) AS pieces, SUM(net_cents) AS net_cents,
           SUM(sold_cents) AS sold_cents, SUM(margin_cents) AS margin_cents
    FROM store_days
    GROUP BY business_day
),
compared_every_day AS (
    SELECT c.business_day AS business_day, c.day_of_week AS day_of_week, c.week_start AS week_start, c.month_start AS month_start,
           COALESCE(d.tickets, 0) AS tickets, COALESCE(d.pieces, 0) AS pieces, COALESCE(d.net_cents, 0) AS net_cents,
           COALESCE(d.sold_cents, 0) AS sold_cents,
           COALESCE(d.margin_cents, 0) AS margin_cents
    FROM calendar AS c
    LEFT JOIN compared_daily AS d ON d.sales_day = c.business_day
)
-- The calendar has every day: so many rows earlier is so many days earlier.
SELECT business_day, day_of_week, week_start, month_start, tickets, pieces, net_cents, sold_cents, margin_cents,
       COALESCE(LAG(net_cents, 7) OVER (ORDER BY business_day), 0) AS week_ago_cents,
       COALESCE(LAG(net_cents, 28) OVER (ORDER BY business_day), 0) AS month_ago_cents,
       COALESCE(LAG(net_cents, 364) OVER (ORDER BY business_day), 0) AS year_ago_cents
FROM compared_every_day
