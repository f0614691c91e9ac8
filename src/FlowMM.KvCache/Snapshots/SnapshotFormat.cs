using System.Buffers.Binary;
using System.Security.Cryptography;
using TorchSharp;

namespace FlowMM.KvCache;

/// <summary>Numbers of the snapshot format, version 1; docs/snapshot-format.md draws the bytes.</summary>
public static class SnapshotFormat
{
    /// <summary>The version that is written. Every version up to it is read or refused as <see cref="SnapshotRefusal.UnknownVersion"/>.</summary>
    public const int Version = 1;

    /// <summary>Most bytes of a chunk before compression and encryption, and the default: 2 MiB.</summary>
    public const int DefaultChunkBytes = 2 << 20;

    /// <summary>Bounds of a chunk's raw bytes; the least is for tests, deployments use 1 to 4 MiB.</summary>
    public const int LeastChunkBytes = 64, MostChunkBytes = 4 << 20;

    /// <summary>Most bytes of a manifest.</summary>
    public const int MostManifestBytes = 64 << 20;

    /// <summary>Bytes before a chunk's body.</summary>
    internal const int FrameHeader = 56;

    /// <summary>Most bytes that compression or encryption may add to a chunk.</summary>
    internal const int FrameSlack = 4096;

    internal const int DigestBytes = 32;

    internal static ReadOnlySpan<byte> ManifestMagic => "FLOWMMKV"u8;

    internal static ReadOnlySpan<byte> ChunkMagic => "FMMC"u8;

    /// <summary>SHA-256 over the sizes and the type that keys and values are laid out by.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="dtype">Type of keys and values.</param>
    public static byte[] LayoutDigest(CacheShape shape, torch.ScalarType dtype)
    {
        Span<byte> layout = stackalloc byte[20];
        BinaryPrimitives.WriteInt32LittleEndian(layout, Version);
        BinaryPrimitives.WriteInt32LittleEndian(layout[4..], shape.Layers);
        BinaryPrimitives.WriteInt32LittleEndian(layout[8..], shape.KvHeads);
        BinaryPrimitives.WriteInt32LittleEndian(layout[12..], shape.HeadDim);
        BinaryPrimitives.WriteInt32LittleEndian(layout[16..], DtypeCode(dtype));
        return SHA256.HashData(layout);
    }

    internal static int DtypeCode(torch.ScalarType dtype) => dtype switch
    {
        torch.ScalarType.Float32 => 0,
        torch.ScalarType.BFloat16 => 1,
        torch.ScalarType.Float16 => 2,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, "Keys and values are float32, bfloat16 or float16."),
    };

    internal static torch.ScalarType? DtypeOf(int code) => code switch
    {
        0 => torch.ScalarType.Float32,
        1 => torch.ScalarType.BFloat16,
        2 => torch.ScalarType.Float16,
        _ => null,
    };
}
