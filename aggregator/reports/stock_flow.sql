/*---
title = "Stock flow"
description = "What came into and left each location, by reason."
section = "Stock"
engine = "in-memory"
grain = "day"
key = ["location", "reason"]
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
location = { type = "string", title = "Location" }
reason = { type = "string", title = "Reason" }
documents = { type = "int64", title = "Documents" }
pieces_in = { type = "int64", title = "In", unit = "pieces" }
pieces_out = { type = "int64", title = "Out", unit = "pieces" }
net = { type = "int64", title = "Net", unit = "pieces" }
[chart]
kind = "bar"
x = "location"
y = "net"
series = "reason"
---*/
WITH moves AS (
    SELECT location_id, reason, COUNT(DISTINCT reference) AS documents, SUM(CASE WHEN quantity > 0 THEN quantity ELSE 0 END) AS pieces_in,
           SUM(CASE WHEN quantity < 0 THEN -quantity ELSE 0 END) AS pieces_out, SUM(quantity) AS net
    FROM stock_movements
    WHERE business_day BETWEEN $from AND $to
    GROUP BY location_id, reason
)
SELECT l.code AS location, m.reason AS reason, m.documents AS documents, m.pieces_in AS pieces_in, m.pieces_out AS pieces_out, m.net AS net
FROM moves AS m
JOIN locations AS l ON l.location_id = m.location_id
ORDER BY location, reason
