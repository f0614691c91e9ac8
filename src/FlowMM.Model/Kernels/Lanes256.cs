using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FlowMM.Model.Kernels;

/// <summary>Eight values: AVX2 and FMA.</summary>
internal readonly unsafe struct Lanes256 : ILanes<Lanes256>
{
    private readonly Vector256<float> _value;

    private Lanes256(Vector256<float> value) => _value = value;

    public static int Count => 8;

    public static bool Many => false;

    public static Lanes256 Zero => new(Vector256<float>.Zero);

    public static Lanes256 Of(float value) => new(Vector256.Create(value));

    public static Lanes256 Load(float* from) => new(Vector256.Load(from));

    public static Lanes256 Load(sbyte* from) => new(Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(from)));

    public static void Load(ushort* from, out Lanes256 even, out Lanes256 odd)
    {
        Vector256<uint> both = Vector256.Load((uint*)from);
        even = new((both << 16).AsSingle());
        odd = new((both & Vector256.Create(0xFFFF0000u)).AsSingle());
    }

    public static void Store(Lanes256 value, float* to) => value._value.Store(to);

    public static Lanes256 Add(Lanes256 a, Lanes256 b) => new(a._value + b._value);

    public static Lanes256 Multiply(Lanes256 a, Lanes256 b) => new(a._value * b._value);

    public static Lanes256 Divide(Lanes256 a, Lanes256 b) => new(a._value / b._value);

    public static Lanes256 Max(Lanes256 a, Lanes256 b) => new(Vector256.Max(a._value, b._value));

    public static Lanes256 MultiplyAdd(Lanes256 a, Lanes256 b, Lanes256 c) => new(Vector256.FusedMultiplyAdd(a._value, b._value, c._value));

    public static Lanes256 Round(Lanes256 value) => new(Vector256.Round(value._value));

    public static Lanes256 Scale(Lanes256 value, Lanes256 power)
    {
        Vector256<int> exponent = (Vector256.ConvertToInt32(power._value) + Vector256.Create(127)) << 23;
        return new(value._value * exponent.AsSingle());
    }

    public static float Sum(Lanes256 value) => Sum(value._value);

    public static float Largest(Lanes256 value) => Largest(value._value);

    internal static float Sum(Vector256<float> value)
    {
        Vector128<float> four = value.GetLower() + value.GetUpper();
        Vector128<float> two = four + Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1));
        return two[0] + two[1];
    }

    internal static float Largest(Vector256<float> value)
    {
        Vector128<float> four = Vector128.Max(value.GetLower(), value.GetUpper());
        Vector128<float> two = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return MathF.Max(two[0], two[1]);
    }
}
