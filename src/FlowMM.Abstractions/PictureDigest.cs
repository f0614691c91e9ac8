using System.Buffers.Binary;
using System.Globalization;

namespace FlowMM.Abstractions;

/// <summary>
/// A Bloom filter over pictures' hashes, 1 KiB: what is in it is always found; of what is not, about one in a hundred is found all the same while it
/// holds 600. SHA-256 spreads evenly, so pieces of the hash itself are the places.
/// </summary>
public static class PictureDigest
{
    /// <summary>Bytes of a filter.</summary>
    public const int Bytes = 1024;

    private const int Places = 4;
    private const int BitsOfPlace = 13;

    /// <summary>The filter of some pictures.</summary>
    /// <param name="pictures">From <see cref="Key"/>.</param>
    /// <returns>Empty when there are none.</returns>
    public static byte[] Of(IEnumerable<ulong> pictures)
    {
        byte[] filter = [];
        foreach (ulong picture in pictures)
        {
            filter = filter.Length == 0 ? new byte[Bytes] : filter;
            for (int i = 0; i < Places; i++)
            {
                int place = Place(picture, i);
                filter[place >> 3] |= (byte)(1 << (place & 7));
            }
        }

        return filter;
    }

    /// <summary>True when a picture may be among those of a filter; false when it is not.</summary>
    /// <param name="filter">From <see cref="Of"/>; one of another length holds nothing.</param>
    /// <param name="picture">From <see cref="Key"/>.</param>
    public static bool MayHold(ReadOnlySpan<byte> filter, ulong picture)
    {
        if (filter.Length != Bytes)
        {
            return false;
        }

        for (int i = 0; i < Places; i++)
        {
            int place = Place(picture, i);
            if ((filter[place >> 3] & (1 << (place & 7))) == 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The first 64 bits of a picture's SHA-256.</summary>
    /// <param name="hash">At least 16 hexadecimal digits.</param>
    /// <exception cref="FormatException">It is no hash.</exception>
    public static ulong Key(string hash) => hash.Length >= 16
        ? ulong.Parse(hash.AsSpan(0, 16), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
        : throw new FormatException($"'{hash}' is no hash.");

    /// <summary>Keys as they travel with a request: eight bytes each, little endian.</summary>
    /// <param name="keys">From <see cref="Key"/>.</param>
    public static byte[] Pack(IReadOnlyList<ulong> keys)
    {
        byte[] packed = new byte[keys.Count * sizeof(ulong)];
        for (int i = 0; i < keys.Count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(packed.AsSpan(i * sizeof(ulong)), keys[i]);
        }

        return packed;
    }

    /// <summary>Reads what <see cref="Pack"/> wrote.</summary>
    /// <param name="packed">The bytes; an incomplete key at the end is left out.</param>
    public static ulong[] Unpack(ReadOnlySpan<byte> packed)
    {
        ulong[] keys = new ulong[packed.Length / sizeof(ulong)];
        for (int i = 0; i < keys.Length; i++)
        {
            keys[i] = BinaryPrimitives.ReadUInt64LittleEndian(packed[(i * sizeof(ulong))..]);
        }

        return keys;
    }

    private static int Place(ulong picture, int index) => (int)(picture >> (index * BitsOfPlace)) & ((1 << BitsOfPlace) - 1);
}
