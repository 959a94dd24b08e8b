// attachments: binary arguments. In JSON each stands as {"_placeholder":true,"num":k}, and its bytes as base64 beside it.

function encode(value) {
  const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

const decode = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

// A copy in which `change` has had its way with each value; what it returns undefined for is copied.
function copy(value, change) {
  const changed = change(value);
  if (changed !== undefined || typeof value !== 'object' || value === null || value.toJSON) return changed ?? value;
  if (Array.isArray(value)) return value.map((one) => copy(one, change));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, copy(one, change)]));
}

// {args, attachments} of a message; without `attachments` where no argument is binary.
export function pack(given) {
  const attachments = [];
  const args = copy(given, (value) => (value instanceof ArrayBuffer || ArrayBuffer.isView(value)
    ? { _placeholder: true, num: attachments.push(encode(value)) - 1 } : undefined));
  return attachments.length ? { args, attachments } : { args };
}

// The arguments of a message, with the bytes in their places.
export function unpack(value, attachments) {
  return attachments ? copy(value, (one) => (one?._placeholder === true ? decode(attachments[one.num]) : undefined)) : value;
}
