-- Sends each line of the file in LOAD_FILE once: timestamp, signature and body, parted by tabs. Threads take turns.
local threads = 0

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
  return wrk.format("POST", nil, {
    ["Content-Type"] = "application/json",
    ["Telnyx-Timestamp"] = timestamp,
    ["Telnyx-Signature-Ed25519"] = signature,
  }, body)
end

function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read
    + summary.errors.write + summary.errors.timeout
  print(string.format('RESULT {"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f, "max_ms": %f}',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
