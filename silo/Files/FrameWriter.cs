using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace FlowMM.Silo.Files;

/// <summary>Puts frames one behind the other. After each stands the SHA-256 of every byte before it.</summary>
internal sealed class FrameWriter : IDisposable
{
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly ArrayBufferWriter<byte> _pending = new(SessionFileFormat.PieceBytes);

    /// <summary>Bytes of the file so far.</summary>
    public long Written { get; private set; }

    /// <summary>Begins a file.</summary>
    public FrameWriter()
    {
        Span<byte> prefix = stackalloc byte[SessionFileFormat.PrefixBytes];
        SessionFileFormat.Magic.CopyTo(prefix);
        BinaryPrimitives.WriteUInt16LittleEndian(prefix[8..], SessionFileFormat.Version);
        BinaryPrimitives.WriteUInt16LittleEndian(prefix[10..], 0);
        Append(prefix);
    }

    /// <summary>Appends a frame whose body is these parts.</summary>
    public void Add(FrameKind kind, params ReadOnlySpan<ReadOnlyMemory<byte>> body)
    {
        int length = 0;
        foreach (ReadOnlyMemory<byte> part in body)
        {
            length = checked(length + part.Length);
        }

        Span<byte> frame = stackalloc byte[SessionFileFormat.FrameBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(frame, (uint)kind);
        BinaryPrimitives.WriteInt32LittleEndian(frame[4..], length);
        Append(frame);
        foreach (ReadOnlyMemory<byte> part in body)
        {
            Append(part.Span);
        }

        Append(_hash.GetCurrentHash());
    }

    /// <summary>Takes what was appended since the last call, in pieces.</summary>
    /// <param name="all">False leaves what fills no piece for the next call.</param>
    public IReadOnlyList<byte[]> Take(bool all)
    {
        List<byte[]> pieces = [];
        ReadOnlySpan<byte> rest = _pending.WrittenSpan;
        for (; rest.Length >= SessionFileFormat.PieceBytes || (all && rest.Length > 0); rest = rest[Math.Min(rest.Length, SessionFileFormat.PieceBytes)..])
        {
            pieces.Add(rest[..Math.Min(rest.Length, SessionFileFormat.PieceBytes)].ToArray());
        }

        byte[] left = rest.ToArray();
        _pending.ResetWrittenCount();
        _pending.Write(left);
        return pieces;
    }

    public void Dispose() => _hash.Dispose();

    private void Append(ReadOnlySpan<byte> bytes)
    {
        _hash.AppendData(bytes);
        _pending.Write(bytes);
        Written += bytes.Length;
    }
}
