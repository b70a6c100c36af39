# Records every TCP payload on a device that goes to or comes from the given ports, as: sniffer.py FILE DEVICE PORT...
# One line per packet, "<source port> <destination port> <hex>", so that a reader can tell who said what.
import signal
import socket
import struct
import sys

ended = False


def end(*_):
    global ended
    ended = True


signal.signal(signal.SIGTERM, end)
ports = {int(port) for port in sys.argv[3:]}
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
# SO_RCVBUFFORCE: a burst of a whole image must not overrun the tap.
tap.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)
tap.settimeout(0.3)
tap.bind((sys.argv[2], 0))
with open(sys.argv[1], "w", buffering=1) as out:
    print("listening", flush=True)
    while True:
        try:
            frame, address = tap.recvfrom(1 << 17)
        except TimeoutError:
            # What was on the wire before the end is read out first.
            if ended:
                break
            continue
        # Loopback shows each packet twice: going out and coming in.
        if (sys.argv[2] == "lo" and address[2] == socket.PACKET_OUTGOING) or frame[12:14] != b"\x08\x00" or frame[23] != 6:
            continue
        start = 14 + (frame[14] & 15) * 4
        source, target = struct.unpack("!HH", frame[start : start + 4])
        payload = frame[start + (frame[start + 12] >> 4) * 4 : 14 + struct.unpack("!H", frame[16:18])[0]]
        if payload and (source in ports or target in ports):
            out.write(f"{source} {target} {payload.hex()}\n")
