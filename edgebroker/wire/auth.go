package wire

// AppendAuth appends an AUTH of version 5 (MQTT 5.0 §3.15). Neither method nor
// data may have more than 65,535 bytes.
func AppendAuth(b []byte, reason Reason, method string, data []byte) []byte {
	props := appendAuthProperties(nil, method, data)
	b = AppendLength(append(b, byte(Auth)<<4), 1+lengthSize(len(props))+len(props))
	return append(AppendLength(append(b, byte(reason)), len(props)), props...)
}

// appendAuthProperties appends what CONNACK and AUTH have in common.
func appendAuthProperties(props []byte, method string, data []byte) []byte {
	if method == "" {
		return props
	}
	props = appendText(append(props, propAuthMethod), method)
	if len(data) > 0 {
		props = appendText(append(props, propAuthData), data)
	}
	return props
}
