-- Sends each line of the file in LOAD_FILE once: timestamp, signature and body, parted by tabs. Threads take turns.
-- LOAD_PAUSE: milliseconds that each connection waits before a request. LOAD_BAD: the signatures are not genuine, and
-- each request names another client to the proxies that are trusted.
local threads = 0
local pause, bad = tonumber(os.getenv("LOAD_PAUSE") or 0), os.getenv("LOAD_BAD")

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  local count, at = tonumber(os.getenv("LOAD_THREADS")), 0
  lines, position = {}, 0
  for line in io.lines(os.getenv("LOAD_FILE")) do
    if at % count == number then lines[#lines + 1] = line end
    at = at + 1
  end
end

function request()
  position = position + 1
  -- Past the end the last one is repeated: the reader of the figures sees more requests than lines.
  local line = lines[math.min(position, #lines)]
  local timestamp, signature, body = line:match("^(%d+)\t(%S+)\t(.*)$")
  local headers = {
    ["Content-Type"] = "application/json",
    ["Telnyx-Timestamp"] = timestamp,
    ["Telnyx-Signature-Ed25519"] = signature,
  }
  if bad then
    body = body .. " "
    headers["X-Forwarded-For"] = string.format("10.%d.%d.%d", math.random(255), math.random(255), math.random(255))
  end
  return wrk.format("POST", nil, headers, body)
end

function delay()
  return pause
end

function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read
    + summary.errors.write + summary.errors.timeout
  print(string.format('RESULT {"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f, "max_ms": %f}',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
