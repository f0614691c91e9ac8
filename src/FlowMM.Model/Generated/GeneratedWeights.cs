using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;

namespace FlowMM.Model.Generated;

/// <summary>
/// model.safetensors of a shape. Matrices are uniform with the deviation 0.6 / sqrt(inputs), close to the usual initialisation, so that rows
/// keep their size through the layers; the embedding's is 2 / sqrt(C), so that next-token distributions have a shape to rank; norms lie near 1.
/// </summary>
internal static class GeneratedWeights
{
    private const int Block = 1 << 20;

    public static void Write(string path, ModelShape shape, bool wide, ulong seed)
    {
        Entry[] entries = [.. Entries(shape)];
        int size = wide ? sizeof(float) : sizeof(ushort);
        using FileStream file = new(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1);
        file.Write(Header(entries, wide ? "F32" : "BF16", size));
        float[] values = new float[Block];
        byte[] bytes = new byte[Block * size];
        for (int i = 0; i < entries.Length; i++)
        {
            Generator random = new(Generator.Mix(seed + ((ulong)i << 32)), entries[i]);
            for (long left = entries[i].Count; left > 0; left -= Block)
            {
                Span<float> part = values.AsSpan(0, (int)Math.Min(left, Block));
                random.Fill(part);
                Span<byte> target = bytes.AsSpan(0, part.Length * size);
                if (wide)
                {
                    MemoryMarshal.AsBytes(part).CopyTo(target);
                }
                else
                {
                    Narrow(part, MemoryMarshal.Cast<byte, ushort>(target));
                }

                file.Write(target);
            }
        }
    }

    private static void Narrow(ReadOnlySpan<float> from, Span<ushort> to)
    {
        for (int i = 0; i < from.Length; i++)
        {
            // Half a unit in the last place up, ties to even.
            uint bits = BitConverter.SingleToUInt32Bits(from[i]);
            to[i] = (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
        }
    }

    private static byte[] Header(Entry[] entries, string type, int size)
    {
        JsonObject header = [];
        long start = 0;
        foreach (Entry entry in entries)
        {
            long end = start + (entry.Count * size);
            header[entry.Name] = new JsonObject
            {
                ["dtype"] = type,
                ["shape"] = new JsonArray([.. entry.Shape.Select(s => JsonValue.Create(s))]),
                ["data_offsets"] = new JsonArray(start, end),
            };
            start = end;
        }

        string text = header.ToJsonString();
        byte[] bytes = new byte[(8 + text.Length + 63) / 64 * 64];
        bytes.AsSpan().Fill((byte)' ');
        BinaryPrimitives.WriteInt64LittleEndian(bytes, bytes.Length - 8);
        Encoding.ASCII.GetBytes(text, bytes.AsSpan(8));
        return bytes;
    }

    private static IEnumerable<Entry> Entries(ModelShape shape)
    {
        (int c, int wide, int narrow) = (shape.Width, shape.QueryHeads * shape.HeadDim, shape.KvHeads * shape.HeadDim);
        yield return new("model.embed_tokens.weight", [shape.Vocabulary, c], 0, 2 / Math.Sqrt(c));
        for (int layer = 0; layer < shape.Layers; layer++)
        {
            string name = $"model.layers.{layer}.", attention = name + "self_attn.";
            yield return Norm(name + "input_layernorm", c);
            foreach ((string part, int outputs) in new[] { ("q", wide), ("k", narrow), ("v", narrow) })
            {
                yield return Matrix($"{attention}{part}_proj", outputs, c);
                if (shape.Family == "qwen2")
                {
                    yield return new($"{attention}{part}_proj.bias", [outputs], 0, 0.1);
                }

                if (shape.Family == "qwen3" && part != "v")
                {
                    yield return Norm($"{attention}{part}_norm", shape.HeadDim);
                }
            }

            yield return Matrix(attention + "o_proj", c, wide);
            yield return Norm(name + "post_attention_layernorm", c);
            yield return Matrix(name + "mlp.gate_proj", shape.MlpWidth, c);
            yield return Matrix(name + "mlp.up_proj", shape.MlpWidth, c);
            yield return Matrix(name + "mlp.down_proj", c, shape.MlpWidth);
        }

        yield return Norm("model.norm", c);
        if (!shape.TiedEmbeddings)
        {
            yield return new("lm_head.weight", [shape.Vocabulary, c], 0, 2 / Math.Sqrt(c));
        }
    }

    private static Entry Matrix(string name, int outputs, int inputs) => new(name + ".weight", [outputs, inputs], 0, 0.6 / Math.Sqrt(inputs));

    private static Entry Norm(string name, int width) => new(name + ".weight", [width], 1, 0.1);

    private sealed record Entry(string Name, int[] Shape, double Mean, double Deviation)
    {
        public long Count => Shape.Aggregate(1L, (n, side) => n * side);
    }

    /// <summary>SplitMix64, four values of 16 bits a step.</summary>
    private sealed class Generator(ulong state, Entry entry)
    {
        private readonly float _scale = (float)(entry.Deviation * Math.Sqrt(3) / 32768);
        private readonly float _mean = (float)entry.Mean;
        private ulong _state = state;

        public static ulong Mix(ulong z)
        {
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }

        public void Fill(Span<float> values)
        {
            for (int i = 0; i < values.Length; i += 4)
            {
                ulong bits = Mix(_state += 0x9E3779B97F4A7C15);
                for (int j = i; j < Math.Min(i + 4, values.Length); j++, bits >>= 16)
                {
                    values[j] = _mean + (_scale * ((int)(bits & 0xFFFF) - 32767.5f));
                }
            }
        }
    }
}
