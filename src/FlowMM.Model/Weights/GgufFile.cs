using System.Text;
using FlowMM.Model.Configuration;
using FlowMM.Model.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model;

/// <summary>
/// Writes a Qwen2 or Qwen3 checkpoint as a GGUF file (version 3), so that other runtimes can be measured on the same weights. The file has no
/// tokenizer: it is for measuring, not for chatting.
/// </summary>
public static class GgufFile
{
    private const int Alignment = 32;
    private const int BlockLength = 32;

    /// <summary>Writes the file.</summary>
    /// <param name="checkpoint">Folder of the checkpoint.</param>
    /// <param name="path">The file, replaced if it is there.</param>
    /// <param name="type">f32, f16 or q8_0, of all matrices; vectors are f32 as the format's readers expect.</param>
    /// <exception cref="CheckpointException">The checkpoint cannot be read, or is of another family.</exception>
    /// <exception cref="ArgumentException">The type is none of the three.</exception>
    public static void Write(string checkpoint, string path, string type)
    {
        uint kind = type switch
        {
            "f32" => 0,
            "f16" => 1,
            "q8_0" => 8,
            _ => throw new ArgumentException($"There is no type '{type}'; there are f32, f16, q8_0.", nameof(type)),
        };
        ModelConfig config = ModelConfig.Read(checkpoint);
        if (config.Architecture is not ("qwen2" or "qwen3"))
        {
            throw new CheckpointException(checkpoint, $"a {config.Architecture} model cannot be written as GGUF; qwen2 and qwen3 can.");
        }

        using WeightFiles files = WeightFiles.Open(checkpoint, null);
        (string From, string To)[] names = [.. Names(config.Decoder).Where(n => files.Has(n.From))];
        using FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20);
        using BinaryWriter writer = new(file, Encoding.UTF8, leaveOpen: true);
        Header(writer, config, names.Length);
        long offset = 0;
        foreach ((string from, string to) in names)
        {
            long[] shape = [.. files.Holding(from).File.ShapeOf(from)];
            uint own = shape.Length == 1 ? 0 : kind;
            Text(writer, to);
            writer.Write((uint)shape.Length);
            foreach (long side in shape.Reverse())
            {
                writer.Write((ulong)side);
            }

            writer.Write(own);
            writer.Write((ulong)offset);
            offset += Aligned(Size(own, shape.Aggregate(1L, (n, side) => n * side)));
        }

        Pad(writer);
        foreach ((string from, _) in names)
        {
            SafeTensorsFile holding = files.Holding(from).File;
            using Tensor tensor = empty([.. holding.ShapeOf(from)]);
            using Tensor flat = tensor.view(-1);
            holding.Read(from, 0, flat);
            Data(writer, tensor, tensor.dim() == 1 ? 0 : kind);
            Pad(writer);
        }
    }

    private static IEnumerable<(string From, string To)> Names(DecoderConfig config)
    {
        yield return ("model.embed_tokens.weight", "token_embd.weight");
        yield return ("model.norm.weight", "output_norm.weight");
        yield return ("lm_head.weight", "output.weight");
        (string From, string To)[] parts =
        [
            ("input_layernorm", "attn_norm"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
            ("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"), ("self_attn.o_proj", "attn_output"),
            ("post_attention_layernorm", "ffn_norm"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
        ];
        for (int layer = 0; layer < config.Layers; layer++)
        {
            foreach ((string from, string to) in parts)
            {
                yield return ($"model.layers.{layer}.{from}.weight", $"blk.{layer}.{to}.weight");
                yield return ($"model.layers.{layer}.{from}.bias", $"blk.{layer}.{to}.bias");
            }
        }
    }

    private static void Header(BinaryWriter writer, ModelConfig config, int tensors)
    {
        DecoderConfig decoder = config.Decoder;
        string arch = config.Architecture;
        (string Key, object Value)[] facts =
        [
            ("general.architecture", arch),
            ("general.name", "flowmm generated"),
            ($"{arch}.vocab_size", (uint)decoder.Vocabulary),
            ($"{arch}.context_length", (uint)decoder.MaxPositions),
            ($"{arch}.embedding_length", (uint)decoder.Width),
            ($"{arch}.block_count", (uint)decoder.Layers),
            ($"{arch}.feed_forward_length", (uint)decoder.MlpWidth),
            ($"{arch}.attention.head_count", (uint)decoder.QueryHeads),
            ($"{arch}.attention.head_count_kv", (uint)decoder.KvHeads),
            ($"{arch}.attention.key_length", (uint)decoder.HeadDim),
            ($"{arch}.attention.value_length", (uint)decoder.HeadDim),
            ($"{arch}.attention.layer_norm_rms_epsilon", (float)decoder.NormEpsilon),
            ($"{arch}.rope.freq_base", (float)decoder.Rope.Theta),
            ("tokenizer.ggml.model", "no_vocab"),
        ];
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)tensors);
        writer.Write((ulong)facts.Length);
        foreach ((string key, object value) in facts)
        {
            Text(writer, key);
            switch (value)
            {
                case uint number:
                    writer.Write(4u);
                    writer.Write(number);
                    break;
                case float number:
                    writer.Write(6u);
                    writer.Write(number);
                    break;
                default:
                    writer.Write(8u);
                    Text(writer, (string)value);
                    break;
            }
        }
    }

    private static void Text(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static long Size(uint kind, long count) => kind switch
    {
        0 => count * sizeof(float),
        1 => count * sizeof(ushort),
        _ => count / BlockLength * (sizeof(ushort) + BlockLength),
    };

    private static long Aligned(long size) => (size + Alignment - 1) / Alignment * Alignment;

    private static void Pad(BinaryWriter writer)
    {
        writer.Flush();
        long at = writer.BaseStream.Position;
        writer.Write(new byte[Aligned(at) - at]);
    }

    private static void Data(BinaryWriter writer, Tensor tensor, uint kind)
    {
        // In rows, so that a span of an embedding stays below its bound.
        const long Rows = 1024;
        long height = tensor.dim() == 1 ? 1 : tensor.shape[0];
        using Tensor table = tensor.view(height, -1);
        for (long row = 0; row < height; row += Rows)
        {
            using Tensor part = table.narrow(0, row, Math.Min(Rows, height - row));
            ReadOnlySpan<float> values = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(part.bytes);
            if (kind == 0)
            {
                writer.Write(part.bytes);
            }
            else if (kind == 1)
            {
                foreach (float value in values)
                {
                    writer.Write((Half)value);
                }
            }
            else
            {
                Blocks(writer, values);
            }
        }
    }

    /// <summary>q8_0: an f16 scale and 32 bytes.</summary>
    private static void Blocks(BinaryWriter writer, ReadOnlySpan<float> values)
    {
        Span<byte> quantised = stackalloc byte[BlockLength];
        for (; values.Length >= BlockLength; values = values[BlockLength..])
        {
            float largest = 0;
            foreach (float value in values[..BlockLength])
            {
                largest = MathF.Max(largest, MathF.Abs(value));
            }

            float scale = largest / 127;
            for (int i = 0; i < BlockLength; i++)
            {
                quantised[i] = (byte)(sbyte)MathF.Round(scale > 0 ? values[i] / scale : 0);
            }

            writer.Write((Half)scale);
            writer.Write(quantised);
        }
    }
}
