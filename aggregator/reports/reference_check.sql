/*---
title = "Reference check"
description = "Lines that name a product, store or customer which no service knows. A row for each unknown number, kind and channel with a line in the period; none is good news. Order: kind, then unknown no., channel."
section = "Operations"
grain = "day"
key = ["kind", "unknown_id", "channel"]
[params]
from = { type = "date", title = "From", default = "today-30d" }
to = { type = "date", title = "To", default = "yesterday" }
[days]
from = "$from"
to = "$to"
[publish]
from = "$business_day"
to = "$business_day"
[columns]
kind = { type = "string", title = "Kind", note = "product, store or customer." }
unknown_id = { type = "int64", title = "Unknown no.", note = "The number that the lines name." }
channel = { type = "string", title = "Channel" }
lines = { type = "int64", title = "Lines", note = "Lines that count and name it." }
net_revenue = { type = "money", title = "Net revenue" }
first_day = { type = "date", title = "First day", note = "Of these lines, in the period." }
last_day = { type = "date", title = "Last day", note = "Of these lines, in the period." }
[check]
---*/
WITH unknown AS (
    SELECT 'product' AS kind, d.product_id AS unknown_id, d.channel AS channel, d.business_day AS business_day, d.lines AS lines, d.net_cents AS net_cents
    FROM product_days AS d
    LEFT JOIN products AS p ON p.product_id = d.product_id
    WHERE d.business_day BETWEEN $from AND $to AND p.sku IS NULL
    UNION ALL
    SELECT 'store' AS kind, d.store_id AS unknown_id, d.channel AS channel, d.business_day AS business_day, d.lines AS lines, d.net_cents AS net_cents
    FROM store_days AS d
    LEFT JOIN stores AS t ON t.store_id = d.store_id
    WHERE d.business_day BETWEEN $from AND $to AND d.store_id IS NOT NULL AND t.code IS NULL
    UNION ALL
    SELECT 'customer' AS kind, d.customer_id AS unknown_id, d.channel AS channel, d.business_day AS business_day, d.lines AS lines, d.net_cents AS net_cents
    FROM customer_days AS d
    LEFT JOIN customers AS c ON c.customer_id = d.customer_id
    WHERE d.business_day BETWEEN $from AND $to AND d.customer_id IS NOT NULL AND c.signup_day IS NULL
)
SELECT kind, unknown_id, channel, SUM(lines) AS lines, SUM(net_cents) AS net_revenue, MIN(business_day) AS first_day, MAX(business_day) AS last_day
FROM unknown
GROUP BY kind, unknown_id, channel
ORDER BY kind, unknown_id, channel
