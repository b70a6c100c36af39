#!/bin/busybox sh
# The whole user space of the test guest. It proves three things about a migration to whoever reads its
# console or the first sector of its disk:
#   same boot id and a rising n     the memory survived
#   PREV-DISK after a fresh boot    the disk survived
#   VTPM resets one higher          the state of its vTPM survived
# Nothing here may end the loop: what fails for a moment after a restore is said and tried again.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
echo 3 > /proc/sys/kernel/printk
while read -r module; do insmod "/lib/$module.ko"; done < /lib/modules.order

tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do
  sleep 0.1
  tries=$((tries + 1))
done

# TPM2_ReadClock (TPM 2.0 library, part 3): resetCount is in the TPM's own permanent state, and rises by one with every start of it.
if [ -c /dev/tpm0 ]; then
  exec 3<>/dev/tpm0
  printf '\200\001\000\000\000\012\000\000\001\201' >&3
  echo "VTPM resets=$((0x$(dd bs=64 count=1 <&3 2>/dev/null | od -An -v -tx1 -j26 -N4 | tr -d ' \n')))"
  exec 3>&-
fi

# Kept in RAM only: a second boot has another one.
boot=$(cat /proc/sys/kernel/random/uuid)
read -r up rest < /proc/uptime
echo "GUEST-UP boot=$boot up=$up sectors=$(cat /sys/block/vda/size 2>/dev/null)"
echo "PREV-DISK [$(dd if=/dev/vda bs=512 count=1 2>/dev/null | tr -d '\000' | sed 's/ *$//')]"

n=0
while :; do
  n=$((n + 1))
  read -r up rest < /proc/uptime
  line="TICK boot=$boot n=$n up=$up"
  # O_DIRECT and fsync: what the console shows is on the disk, not in a cache of the guest.
  printf '%-511s\n' "$line" | dd of=/dev/vda bs=512 count=1 conv=fsync,notrunc oflag=direct 2>/dev/null || echo "WRITE-ERR n=$n"
  echo "$line"
  sleep 0.1
done
