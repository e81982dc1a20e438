/*---
title = "Channel mix"
description = "How net revenue, tickets and margin divide between store and online, against the period before and the same weekdays a year ago. A row for each channel with a line in any of the three. Order: channel."
section = "Sales"
engine = "in-memory"
grain = "day"
inherits = "sales"
key = ["channel"]
[publish]
[columns]
channel = { type = "string", title = "Channel" }
[chart]
kind = "pie"
x = "channel"
y = "net_revenue"
---*/
WITH periods AS (
    SELECT channel, SUM(tickets) AS tickets, SUM(pieces) AS pieces,
           SUM(net_cents) AS net_revenue, SUM(sold_cents) AS sold_revenue,
           SUM(margin_cents) AS margin, 0 AS previous_revenue, 0 AS year_ago_revenue
    FROM store_days
    WHERE business_day BETWEEN $from AND $to
    GROUP BY channel
    UNION ALL
    SELECT channel, 0 AS tickets, 0 AS pieces, 0 AS net_revenue, 0 AS sold_revenue, 0 AS margin, SUM(net_cents) AS previous_revenue, 0 AS year_ago_revenue
    FROM store_days
    WHERE business_day BETWEEN $before_from AND $before_to
    GROUP BY channel
    UNION ALL
    SELECT channel, 0 AS tickets, 0 AS pieces, 0 AS net_revenue, 0 AS sold_revenue, 0 AS margin, 0 AS previous_revenue, SUM(net_cents) AS year_ago_revenue
    FROM store_days
    WHERE business_day BETWEEN $year_from AND $year_to
    GROUP BY channel
),
by_channel AS (
    SELECT channel, SUM(tickets) AS tickets, SUM(pieces) AS pieces, SUM(net_revenue) AS net_revenue, SUM(sold_revenue) AS sold_revenue, SUM(margin) AS margin,
           SUM(previous_revenue) AS previous_revenue, SUM(year_ago_revenue) AS year_ago_revenue
    FROM periods
    GROUP BY channel
),
total AS (
    SELECT SUM(net_revenue) AS total_revenue FROM by_channel
)
SELECT b.channel AS channel, b.tickets AS tickets, b.pieces AS pieces, b.net_revenue AS net_revenue,
       CASE WHEN t.total_revenue <> 0 THEN b.net_revenue * 100.0 / t.total_revenue END AS share, b.margin AS margin,
       CASE WHEN b.net_revenue <> 0 THEN b.margin * 100.0 / b.net_revenue END AS margin_rate,
       CASE WHEN b.tickets > 0 THEN b.sold_revenue / b.tickets END AS average_ticket,
       b.previous_revenue AS previous_revenue,
       CASE WHEN b.previous_revenue > 0 THEN (b.net_revenue - b.previous_revenue) * 100.0 / b.previous_revenue END AS change,
       b.year_ago_revenue AS year_ago_revenue,
       CASE WHEN b.year_ago_revenue > 0 THEN (b.net_revenue - b.year_ago_revenue) * 100.0 / b.year_ago_revenue END AS year_change
FROM by_channel AS b
CROSS JOIN total AS t
ORDER BY channel
