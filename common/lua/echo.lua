-- echo: the number of keys, then the keys and arguments as they came. It touches nothing: for trying a connection out.
local answer = { #KEYS }
for _, key in ipairs(KEYS) do
    answer[#answer + 1] = key
end
for _, arg in ipairs(ARGV) do
    answer[#answer + 1] = arg
end
return answer
