"""What meets the outside: devices, the open tools that build for them, boards, the self-test."""
