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
    SELECT 'product' AS kind, s.product_id AS unknown_id, s.channel AS channel, s.business_day AS business_day, s.net_cents AS net_cents
    FROM sales AS s
    LEFT JOIN products AS p ON p.product_id = s.product_id
    WHERE s.business_day BETWEEN $from AND $to AND p.sku IS NULL
    UNION ALL
    SELECT 'store' AS kind, s.store_id AS unknown_id, s.channel AS channel, s.business_day AS business_day, s.net_cents AS net_cents
    FROM sales AS s
    LEFT JOIN stores AS t ON t.store_id = s.store_id
    WHERE s.business_day BETWEEN $from AND $to AND s.store_id IS NOT NULL AND t.code IS NULL
    UNION ALL
    SELECT 'customer' AS kind, s.customer_id AS unknown_id, s.channel AS channel, s.business_day AS business_day, s.net_cents AS net_cents
    FROM sales AS s
    LEFT JOIN customers AS c ON c.customer_id = s.customer_id
    WHERE s.business_day BETWEEN $from AND $to AND s.customer_id IS NOT NULL AND c.signup_day IS NULL
)
SELECT kind, unknown_id, channel, COUNT(*) AS lines, SUM(net_cents) AS net_revenue, MIN(business_day) AS first_day, MAX(business_day) AS last_day
FROM unknown
GROUP BY kind, unknown_id, channel
ORDER BY kind, unknown_id, channel
