using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Weights;

/// <summary>
/// A file of the safetensors format (8 bytes little-endian header length, JSON header, data), memory-mapped. The whole header is
/// checked before a byte of data is read: lengths, types, shapes, and that tensors neither overlap nor leave the file.
/// </summary>
internal sealed class SafeTensorsFile : IDisposable
{
    /// <summary>The format's own bound on the header, bytes.</summary>
    private const long MaxHeader = 100_000_000;

    /// <summary>Elements copied at once: what a loading process holds of the map at most.</summary>
    private const long Block = 1 << 22;

    private readonly string _path;
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Dictionary<string, Entry> _entries;
    private readonly long _data;

    private SafeTensorsFile(string path, MemoryMappedFile map, long data, Dictionary<string, Entry> entries)
    {
        (_path, _map, _data, _entries) = (path, map, data, entries);
        _view = map.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
    }

    public IReadOnlyCollection<string> Names => _entries.Keys;

    /// <exception cref="CheckpointException">The file is missing, truncated or not of the format.</exception>
    public static SafeTensorsFile Open(string path)
    {
        if (!File.Exists(path))
        {
            throw new CheckpointException(path, "the file does not exist.");
        }

        long size = new FileInfo(path).Length;
        using FileStream stream = File.OpenRead(path);
        Span<byte> prefix = stackalloc byte[8];
        if (size < 8 || stream.ReadAtLeast(prefix, 8, false) < 8)
        {
            throw new CheckpointException(path, $"the file has {size} bytes; a safetensors file begins with 8 bytes of header length.");
        }

        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxHeader || length > (ulong)(size - 8))
        {
            throw new CheckpointException(path, $"the header claims {length} bytes; the file has {size - 8} after the length, and the format allows {MaxHeader}.");
        }

        byte[] header = new byte[length];
        stream.ReadExactly(header);
        Dictionary<string, Entry> entries = Parse(path, header, size - 8 - (long)length);
        return new SafeTensorsFile(path, MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read), 8 + (long)length, entries);
    }

    public bool Contains(string name) => _entries.ContainsKey(name);

    public IReadOnlyList<long> ShapeOf(string name) => _entries[name].Shape;

    public ScalarType TypeOf(string name) => _entries[name].Type;

    /// <summary>Copies a tensor out of the map, in its own type, to the CPU. The caller disposes it.</summary>
    public Tensor Read(string name)
    {
        Entry entry = _entries[name];
        Tensor tensor = empty(entry.Shape, entry.Type);
        using Tensor flat = tensor.view(-1);
        Read(name, 0, flat);
        return tensor;
    }

    /// <summary>
    /// Copies elements of a tensor into another of any type and device, block by block, and gives the map's pages back behind each block.
    /// </summary>
    /// <param name="name">The tensor; it is in the file.</param>
    /// <param name="start">Its first element to copy.</param>
    /// <param name="target">[n], contiguous; n elements are there.</param>
    public void Read(string name, long start, Tensor target)
    {
        Entry entry = _entries[name];
        bool direct = target.dtype == entry.Type && target.device.type == DeviceType.CPU;
        for (long done = 0; done < target.numel(); done += Block)
        {
            long length = Math.Min(Block, target.numel() - done), offset = entry.Start + ((start + done) * entry.Type.ElementSize());
            using Tensor part = target.narrow(0, done, length);
            if (direct)
            {
                Copy(offset, part.bytes);
            }
            else
            {
                using Tensor raw = empty(length, entry.Type);
                Copy(offset, raw.bytes);
                part.copy_(raw);
            }
        }
    }

    /// <summary>Copies elements of a floating-point tensor, widened to f32, and gives the map's pages behind them back. Any thread may call it.</summary>
    /// <param name="name">The tensor; it is in the file.</param>
    /// <param name="start">Its first element to copy.</param>
    /// <param name="target">As many values as are wanted; all are there.</param>
    public unsafe void Read(string name, long start, Span<float> target)
    {
        Entry entry = _entries[name];
        int size = entry.Type.ElementSize();
        byte* map = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref map);
        try
        {
            byte* from = map + _view.PointerOffset + _data + entry.Start + (start * size);
            Widening.ToFloat(entry.Type, from, target);
            MappedPages.GiveBack(map, _view.SafeMemoryMappedViewHandle.ByteLength, from, (long)target.Length * size);
        }
        finally
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
        }
    }

    public void Dispose()
    {
        _view.Dispose();
        _map.Dispose();
    }

    private unsafe void Copy(long offset, Span<byte> target)
    {
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        try
        {
            byte* from = start + _view.PointerOffset + _data + offset;
            new ReadOnlySpan<byte>(from, target.Length).CopyTo(target);
            MappedPages.GiveBack(start, _view.SafeMemoryMappedViewHandle.ByteLength, from, target.Length);
        }
        finally
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
        }
    }

    private static Dictionary<string, Entry> Parse(string path, byte[] header, long data)
    {
        Dictionary<string, Entry> entries = [];
        try
        {
            using JsonDocument json = JsonDocument.Parse(header);
            foreach (JsonProperty tensor in json.RootElement.EnumerateObject().Where(p => p.Name != "__metadata__"))
            {
                if (!entries.TryAdd(tensor.Name, Check(path, tensor, data)))
                {
                    throw new CheckpointException(path, $"tensor '{tensor.Name}' is listed twice.");
                }
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new CheckpointException(path, "the header is not the JSON that the format asks for: " + error.Message, error);
        }

        long end = 0;
        foreach ((string name, Entry entry) in entries.OrderBy(e => e.Value.Start).ThenBy(e => e.Value.End))
        {
            if (entry.Start < end)
            {
                throw new CheckpointException(path, $"tensor '{name}' overlaps another.");
            }

            end = entry.End;
        }

        return entries;
    }

    private static Entry Check(string path, JsonProperty tensor, long data)
    {
        CheckpointException Wrong(string problem) => new(path, $"tensor '{tensor.Name}' {problem}");
        string type = tensor.Value.GetProperty("dtype").GetString() ?? "";
        ScalarType scalar = type switch
        {
            "F64" => ScalarType.Float64,
            "F32" => ScalarType.Float32,
            "F16" => ScalarType.Float16,
            "BF16" => ScalarType.BFloat16,
            "I64" => ScalarType.Int64,
            "I32" => ScalarType.Int32,
            "I8" => ScalarType.Int8,
            "U8" => ScalarType.Byte,
            "BOOL" => ScalarType.Bool,
            _ => throw Wrong($"has the unknown type '{type}'."),
        };
        long[] shape = [.. tensor.Value.GetProperty("shape").EnumerateArray().Select(d => d.GetInt64())];
        long[] offsets = [.. tensor.Value.GetProperty("data_offsets").EnumerateArray().Select(d => d.GetInt64())];
        if (offsets.Length != 2 || offsets[0] < 0 || offsets[1] < offsets[0])
        {
            throw Wrong($"has the offsets [{string.Join(", ", offsets)}].");
        }

        if (offsets[1] > data)
        {
            throw Wrong($"ends at byte {offsets[1]} of the data, which has {data}: the file is truncated or damaged.");
        }

        Int128 bytes = scalar.ElementSize();
        foreach (long side in shape)
        {
            bytes = side < 0 || bytes > long.MaxValue ? throw Wrong($"has the shape [{string.Join(", ", shape)}].") : bytes * side;
        }

        return bytes == offsets[1] - offsets[0]
            ? new Entry(scalar, shape, offsets[0], offsets[1])
            : throw Wrong($"has {offsets[1] - offsets[0]} bytes; its type and shape need {bytes}.");
    }

    private sealed record Entry(ScalarType Type, long[] Shape, long Start, long End);
}
