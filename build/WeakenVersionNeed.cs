using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>Marks one version requirement of a 64-bit little-endian ELF file weak (VER_FLG_WEAK in .gnu.version_r).</summary>
public sealed class WeakenVersionNeed : Task
{
    private const uint SectionVersionNeed = 0x6ffffffe;
    private const ushort Weak = 2;

    [Required] public string File { get; set; }

    [Required] public string Version { get; set; }

    public override bool Execute()
    {
        byte[] elf = System.IO.File.ReadAllBytes(File);
        if (elf.Length < 64 || elf[0] != 0x7f || elf[1] != 'E' || elf[4] != 2)
        {
            return true;
        }

        if (Mark(elf))
        {
            // The output may be a hard link into the package cache: a new file leaves the package as it was.
            System.IO.File.Delete(File);
            System.IO.File.WriteAllBytes(File, elf);
        }

        return true;
    }

    private bool Mark(byte[] elf)
    {
        long table = BitConverter.ToInt64(elf, 0x28);
        int size = BitConverter.ToUInt16(elf, 0x3a), count = BitConverter.ToUInt16(elf, 0x3c);
        bool changed = false;
        for (int i = 0; i < count; i++)
        {
            int section = (int)(table + i * size);
            if (BitConverter.ToUInt32(elf, section + 4) == SectionVersionNeed)
            {
                int link = BitConverter.ToInt32(elf, section + 0x28);
                int strings = (int)BitConverter.ToInt64(elf, (int)(table + link * size) + 0x18);
                changed |= MarkNeeds(elf, (int)BitConverter.ToInt64(elf, section + 0x18), strings);
            }
        }

        return changed;
    }

    private bool MarkNeeds(byte[] elf, int need, int strings)
    {
        bool changed = false;
        for (int next = -1; next != 0; need += next)
        {
            next = BitConverter.ToInt32(elf, need + 12);
            int aux = need + BitConverter.ToInt32(elf, need + 8);
            for (int step = -1; step != 0; aux += step)
            {
                step = BitConverter.ToInt32(elf, aux + 12);
                int name = strings + BitConverter.ToInt32(elf, aux + 8);
                int end = Array.IndexOf(elf, (byte)0, name);
                ushort flags = BitConverter.ToUInt16(elf, aux + 4);
                if (Encoding.ASCII.GetString(elf, name, end - name) == Version && (flags & Weak) == 0)
                {
                    BitConverter.GetBytes((ushort)(flags | Weak)).CopyTo(elf, aux + 4);
                    changed = true;
                }
            }
        }

        return changed;
    }
}
