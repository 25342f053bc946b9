-- Asks gate_verify whether a request may pass: `http-request lua.gate URL`.
-- Anything but a clear yes refuses the request.

local identity = { "remote-user", "remote-groups", "remote-name", "remote-email", "remote-organization", "remote-organization-role" }

-- The headers of the client that the verifier looks at.
local asked = { "cookie", "authorization", "accept", "user-agent", "origin", "x-requested-with", "upgrade",
	"sec-fetch-mode", "sec-fetch-site", "sec-fetch-dest" }

-- Servers take Remote_User and Remote.User for Remote-User as well.
local function folded(name)
	return (name:lower():gsub("[_.]", "-"))
end

-- The values of a header, from 0 or from 1 on.
local function first(values)
	if type(values) == "table" then return values[0] or values[1] end
	return values
end

local function refuse(txn, status, headers, body)
	local reply = txn:reply()
	reply:set_status(status)
	for name, values in pairs(headers or {}) do
		if name == "www-authenticate" or name == "content-type" or name == "cache-control" or name == "location" then
			reply:add_header(name, first(values))
		end
	end
	reply:set_body(body or "")
	txn:done(reply)
end

core.register_action("gate", { "http-req" }, function(txn, url)
	local sent = txn.http:req_get_headers()
	local tls = txn.f:ssl_fc()
	local headers = {
		["x-forwarded-method"] = { txn.sf:method() },
		["x-forwarded-proto"] = { (tls == true or tls == 1) and "https" or "http" },
		["x-forwarded-host"] = { txn.sf:req_hdr("host") },
		["x-forwarded-uri"] = { txn.sf:pathq() },
		["x-forwarded-for"] = { txn.sf:src() },
	}
	for _, name in ipairs(asked) do
		if sent[name] then
			local all, i = {}, 0
			while sent[name][i] do
				all[i + 1] = sent[name][i]
				i = i + 1
			end
			headers[name] = all
		end
	end
	for name in pairs(sent) do
		for _, own in ipairs(identity) do
			if folded(name) == own then txn.http:req_del_header(name) end
		end
	end

	local answer = core.httpclient():get{ url = url, headers = headers, timeout = 5000 }
	if not answer or not answer.status or answer.status == 0 then
		return refuse(txn, 503)
	end
	if answer.status >= 200 and answer.status < 300 then
		for _, name in ipairs(identity) do
			if answer.headers[name] then
				txn.http:req_set_header(name, first(answer.headers[name]))
			end
		end
		return
	end
	refuse(txn, answer.status, answer.headers, answer.body)
end, 1)
