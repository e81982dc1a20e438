/*---
title = "Compared days"
description = "One row per day of the calendar, also those without a sale: its week and month, what was sold, and the net revenue of the same weekday 7, 28 and 364 days earlier."
---*/
WITH compared_daily AS (
    SELECT business_day AS sales_day, COUNT(DISTINCT CASE WHEN NOT is_return THEN document_key END) AS tickets,
           SUM(quantity) AS pieces, SUM(net_cents) AS net_cents, SUM(margin_cents) AS margin_cents
    FROM sales
    GROUP BY business_day
),
compared_week_ago AS (
    SELECT sales_day AS week_day, net_cents AS week_ago_cents FROM compared_daily
),
compared_month_ago AS (
    SELECT sales_day AS month_day, net_cents AS month_ago_cents FROM compared_daily
),
compared_year_ago AS (
    SELECT sales_day AS year_day, net_cents AS year_ago_cents FROM compared_daily
)
SELECT c.business_day AS business_day, c.day_of_week AS day_of_week, c.week_start AS week_start, c.month_start AS month_start,
       COALESCE(d.tickets, 0) AS tickets, COALESCE(d.pieces, 0) AS pieces, COALESCE(d.net_cents, 0) AS net_cents,
       COALESCE(d.margin_cents, 0) AS margin_cents, COALESCE(w.week_ago_cents, 0) AS week_ago_cents,
       COALESCE(m.month_ago_cents, 0) AS month_ago_cents, COALESCE(y.year_ago_cents, 0) AS year_ago_cents
FROM calendar AS c
LEFT JOIN compared_daily AS d ON d.sales_day = c.business_day
LEFT JOIN compared_week_ago AS w ON w.week_day = c.previous_week_day
LEFT JOIN compared_month_ago AS m ON m.month_day = c.previous_month_day
LEFT JOIN compared_year_ago AS y ON y.year_day = c.previous_year_day
