/*---
title = "Stock flow"
description = "What came into and left each location, by reason. A row for each location and reason with a movement in the period. Order: location, then reason."
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
location = { type = "string", title = "Location", note = "The location's code, as it is now." }
reason = { type = "string", title = "Reason", note = "sale, return, replenishment, adjustment or transfer." }
documents = { type = "int64", title = "Documents", note = "Documents that moved anything." }
pieces_in = { type = "int64", title = "In", unit = "pieces", note = "Sum of the movements into the location." }
pieces_out = { type = "int64", title = "Out", unit = "pieces", note = "Sum of the movements out of it, as a positive number." }
net = { type = "int64", title = "Net", unit = "pieces", note = "In less out." }
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
